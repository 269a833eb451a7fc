// The question page. Without this script everything still works: the server itself refuses an answer that comes
// under a second after the page. With it, a yes waits until the page has been visible for a second, Escape says no, and
// the page says so when the question is over.

const ARM_AFTER = 1000;
const LOOK_EVERY = 2000;

const page = document.getElementById("question");
const form = document.getElementById("answer");
const over = document.getElementById("over");
const deny = form.querySelector("button[value=deny]");
const allows = [...form.querySelectorAll("button:not([value=deny])")];

let armed = false;
let sent = false;
let closed = false;
let denyWhenArmed = false;
let timer = 0;
let silent = 0;

function disarm() {
  clearTimeout(timer);
  armed = false;
  form.classList.remove("arming");
  for (const button of allows) button.disabled = true;
}

function arm() {
  disarm();
  if (closed || document.visibilityState !== "visible") return;
  void form.offsetWidth; // lets the bar start again from nothing
  form.classList.add("arming");
  timer = setTimeout(() => {
    armed = true;
    form.classList.remove("arming");
    for (const button of allows) button.disabled = false;
    if (denyWhenArmed) form.requestSubmit(deny);
  }, ARM_AFTER);
}

form.addEventListener("submit", (event) => {
  if (sent || closed) {
    event.preventDefault();
    return;
  }
  if (!armed) {
    // Only Deny can be pressed this early; it counts, a moment later.
    event.preventDefault();
    denyWhenArmed = true;
    return;
  }
  sent = true;
  // After the form has been read, so that the pressed button's value is still sent.
  setTimeout(() => {
    for (const button of form.querySelectorAll("button")) button.disabled = true;
  });
});

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || closed) return;
  event.preventDefault();
  // A held key is one press; in the first second it is kept and counts a moment later, as the button does.
  if (!event.repeat) form.requestSubmit(deny);
});

function end(words) {
  if (closed) return;
  const held = form.contains(document.activeElement);
  closed = true;
  disarm();
  form.hidden = true;
  page.classList.add("closed");
  over.textContent = words;
  document.title = "Question closed · Daypass";
  if (held) over.focus();
}

const ENDS = {
  approved: "This question was already answered. You can close this page.",
  denied: "This question was already answered. You can close this page.",
  gone: "The program has ended, so it got nothing. You can close this page.",
  expired: "This question has expired, and the program got nothing. If you still want it to have a pass, let it ask again.",
};

async function look() {
  if (closed || sent || document.visibilityState !== "visible") return;
  try {
    const answer = await fetch(page.dataset.state, { cache: "no-store", headers: { accept: "application/json" } });
    silent = 0;
    if (!answer.ok) {
      if (answer.status < 500 && answer.status !== 429) end("This question is closed. You can close this page.");
      return;
    }
    const { state } = await answer.json();
    if (state !== "pending") end(ENDS[state] ?? ENDS.approved);
  } catch {
    silent += 1;
    if (silent >= 3) end("Daypass is not running any more, so nothing can be answered here and nothing is given. You can close this page.");
  }
}

document.addEventListener("visibilitychange", () => {
  arm();
  look();
});
// A page kept by the browser from before shows an old question: ask for it again.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});

arm();
setInterval(look, LOOK_EVERY);
