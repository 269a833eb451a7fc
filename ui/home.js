// The pages with a top bar. Without this script everything still works. With it, they are fresh when one comes back
// to them, say so when the agent has stopped, send a form only once, and can copy technical detail.

const LOOK_EVERY = 10000;
const STALE_AFTER = 5000;

const stopped = document.getElementById("stopped");
let hiddenSince = 0;
let silent = 0;
let leaving = false;

addEventListener("pagehide", () => {
  leaving = true;
});
addEventListener("pageshow", (event) => {
  leaving = false;
  if (event.persisted) location.reload();
});

async function alive() {
  try {
    await fetch("/healthz", { cache: "no-store" });
    return true;
  } catch {
    return leaving;
  }
}

function idle() {
  const at = document.activeElement;
  const typed = [...document.querySelectorAll("input[type=search]")].some((field) => field.value !== field.defaultValue);
  const picked = [...document.querySelectorAll("select")].some(
    (list) => list.selectedIndex !== Math.max(0, [...list.options].findIndex((option) => option.defaultSelected)),
  );
  return !typed && !picked && (!at || at === document.body) && !document.querySelector("main details[open]");
}

async function look() {
  if (document.visibilityState !== "visible") return;
  if (await alive()) {
    if (stopped.textContent) location.reload();
    silent = 0;
    return;
  }
  silent += 1;
  if (silent >= 2 && !stopped.textContent) {
    stopped.textContent = "Daypass is not running, so this page is not current. Start it with its icon, or run daypass open in a terminal.";
  }
}

document.addEventListener("visibilitychange", async () => {
  if (document.visibilityState !== "visible") {
    hiddenSince = Date.now();
    return;
  }
  const stale = hiddenSince && Date.now() - hiddenSince > STALE_AFTER;
  if (stale && idle() && (await alive())) location.reload();
  else look();
});
setInterval(look, LOOK_EVERY);

for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", (event) => {
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "true";
  });
}

for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const said = document.getElementById("copied");
    try {
      await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
      said.textContent = "Copied.";
    } catch {
      said.textContent = "Could not be copied; select the text instead.";
    }
  });
}
