use super::*;

#[test]
fn executables_are_told_by_their_file_name() {
    for (name, wanted) in [
        ("git", Kind::Ordinary),
        ("gitk", Kind::Ordinary),
        ("python-app", Kind::Ordinary),
        ("shellcheck", Kind::Ordinary),
        ("a2", Kind::Ordinary),
        ("t", Kind::Ordinary),
        ("", Kind::Ordinary),
        ("curl", Kind::Generic),
        ("wget2", Kind::Generic),
        ("http", Kind::Generic),
        ("sshd", Kind::Generic),
        ("env", Kind::Generic),
        ("timeout", Kind::Generic),
        ("bash", Kind::Interpreter(Shell)),
        ("bash5.2", Kind::Interpreter(Shell)),
        ("zsh-5.9", Kind::Interpreter(Shell)),
        ("ksh93", Kind::Interpreter(Shell)),
        ("fish", Kind::Interpreter(OtherShell)),
        ("python3", Kind::Interpreter(Python)),
        ("python3.11", Kind::Interpreter(Python)),
        ("python3.13t", Kind::Interpreter(Python)),
        ("pypy3.9", Kind::Interpreter(Python)),
        ("node", Kind::Interpreter(Node)),
        ("nodejs", Kind::Interpreter(Node)),
        ("ruby3.1", Kind::Interpreter(Ruby)),
        ("perl5.36.0", Kind::Interpreter(Perl)),
        ("php8.2", Kind::Interpreter(Php)),
        ("lua5.4", Kind::Interpreter(Lua)),
        ("deno", Kind::Interpreter(Deno)),
        ("bun", Kind::Interpreter(Bun)),
        ("java", Kind::Interpreter(Java)),
        ("Rscript", Kind::Interpreter(Other)),
        ("busybox", Kind::Interpreter(Other)),
        ("ld-linux-x86-64.so.2", Kind::Loader),
        ("ld-2.31.so", Kind::Loader),
        ("ld-musl-x86_64.so.1", Kind::Loader),
        ("ld.so", Kind::Loader),
        ("ld", Kind::Ordinary),
    ] {
        assert_eq!(kind(name.as_bytes()), wanted, "{name:?}");
    }
    assert_eq!(kind(b"\xff\xfe"), Kind::Ordinary);
}

/// `-` = a command, standard input or unknown; `.` = nothing; else the file.
#[track_caller]
fn check(family: Family, cases: &[(&str, &str)]) {
    for (line, wanted) in cases {
        let arguments: Vec<Vec<u8>> = line.split(' ').map(|word| word.replace('_', " ").into_bytes()).collect();
        let told = match runs(family, &arguments) {
            Runs::File(file) => String::from_utf8_lossy(file).into_owned(),
            Runs::Inline => "-".to_owned(),
            Runs::Nothing => ".".to_owned(),
        };
        assert_eq!(told, *wanted, "{line:?}");
    }
}

#[test]
fn shells() {
    check(
        Shell,
        &[
            ("bash", "."),
            ("-bash", "."),
            ("bash -i", "."),
            ("bash -il", "."),
            ("bash --login --norc", "."),
            ("bash -o vi", "."),
            ("sh x.sh a b", "x.sh"),
            ("/bin/sh /a/x.sh -c", "/a/x.sh"),
            ("bash -eu x.sh", "x.sh"),
            ("bash -euo pipefail x.sh", "x.sh"),
            ("bash -eo pipefail -O extglob x.sh", "x.sh"),
            ("bash +x x.sh", "x.sh"),
            ("bash -- x.sh", "x.sh"),
            ("bash - x.sh", "x.sh"),
            ("bash -c x", "-"),
            ("bash -lc x", "-"),
            ("bash -c", "-"),
            ("bash -o errexit -c x", "-"),
            ("bash -s a", "-"),
            ("bash -o", "-"),
            ("bash --rcfile x", "-"),
            ("bash --init-file x y", "-"),
            ("bash --unknown x", "-"),
            ("bash -1 x", "-"),
            ("bash --", "."),
        ],
    );
    check(OtherShell, &[("fish", "."), ("fish -c x", "-"), ("fish x", "-")]);
    check(Other, &[("gawk", "."), ("gawk -f x", "-")]);
}

#[test]
fn pythons() {
    check(
        Python,
        &[
            ("python3", "."),
            ("python3 x.py -c y", "x.py"),
            ("python3 -u -X utf8 x.py", "x.py"),
            ("python3 -Xutf8 -W ignore x.py", "x.py"),
            ("python3 -IsX utf8 x.py", "x.py"),
            ("python3 -i x.py", "x.py"),
            ("python3 --check-hash-based-pycs never x.py", "x.py"),
            ("python3 -- x.py", "x.py"),
            ("python3 -c x", "-"),
            ("python3 -Ic x", "-"),
            ("python3 -m http.server", "-"),
            ("python3 -mhttp.server", "-"),
            ("python3 -", "-"),
            ("python3 -V", "-"),
            ("python3 --unknown x.py", "-"),
            ("python3 -W", "-"),
            ("python3 ", "-"),
        ],
    );
}

#[test]
fn the_others() {
    check(
        Node,
        &[
            ("node x.js --eval y", "x.js"),
            ("node --no-warnings --max-old-space-size=4096 x.js", "x.js"),
            ("node -e x", "-"),
            ("node -p x", "-"),
            ("node --eval=x y.js", "-"),
            ("node -r ./x y.js", "-"),
            ("node --require=./x y.js", "-"),
            ("node --import ./x y.js", "-"),
            ("node --inspect x.js", "-"),
            ("node -", "-"),
            ("node", "."),
        ],
    );
    check(
        Ruby,
        &[
            ("ruby x.rb", "x.rb"),
            ("ruby -w -Ilib -r json x.rb", "x.rb"),
            ("ruby --disable=gems x.rb", "x.rb"),
            ("ruby -e x", "-"),
            ("ruby -ne x", "-"),
            ("ruby -C / x.rb", "-"),
            ("ruby -S x", "-"),
            ("ruby -", "-"),
        ],
    );
    check(
        Perl,
        &[
            ("perl x.pl", "x.pl"),
            ("perl -wT x.pl", "x.pl"),
            ("perl -I lib -MStrict x.pl", "x.pl"),
            ("perl -Ilib -- x.pl", "x.pl"),
            ("perl -e x", "-"),
            ("perl -wle x", "-"),
            ("perl -l0e x", "-"),
            ("perl -M x.pl", "-"),
            ("perl -d x.pl", "-"),
            ("perl -x x.pl", "-"),
            ("perl -", "-"),
        ],
    );
    check(
        Php,
        &[
            ("php x.php", "x.php"),
            ("php -d a=b -n x.php", "x.php"),
            ("php -f x.php", "x.php"),
            ("php -r x", "-"),
            ("php -S x", "-"),
            ("php -a", "-"),
            ("php --", "-"),
        ],
    );
    check(Lua, &[("lua x.lua", "x.lua"), ("lua -l m x.lua", "x.lua"), ("lua -e x y.lua", "-"), ("lua -", "-")]);
    check(
        Deno,
        &[
            ("deno run -A x.ts", "x.ts"),
            ("deno run --allow-net=a.example ./x", "./x"),
            ("deno x.ts", "x.ts"),
            ("deno task x", "-"),
            ("deno eval x", "-"),
            ("deno run https://a.example/x.ts", "-"),
            ("deno run npm:x.y", "-"),
            ("deno run --config x.json y.ts", "-"),
        ],
    );
    check(Bun, &[("bun x.ts", "x.ts"), ("bun run ./x.ts", "./x.ts"), ("bun run dev", "-"), ("bun -e x", "-")]);
    check(
        Java,
        &[
            ("java -Xmx1g -Da=b -jar x.jar a", "x.jar"),
            ("java -cp a:b X.java", "X.java"),
            ("java -cp a:b Main", "-"),
            ("java -javaagent:a.jar -jar x.jar", "-"),
            ("java -m a/b", "-"),
            ("java @file", "-"),
            ("java -jar", "."),
            ("java", "-"),
        ],
    );
    check(Dotnet, &[("dotnet x.dll", "x.dll"), ("dotnet run", "-"), ("dotnet", "-")]);
}

#[test]
fn no_command_line_makes_it_panic() {
    for family in [Shell, OtherShell, Python, Node, Ruby, Perl, Php, Lua, Deno, Bun, Java, Dotnet, Other] {
        assert_eq!(runs(family, &[]), Runs::Inline);
        let letters: Vec<u8> = (0..=255).collect();
        for first in &letters {
            for second in [vec![], vec![*first], vec![b'-', *first], vec![b'-', b'-', *first], vec![0xff; 5000]] {
                let arguments = [b"x".to_vec(), vec![b'-', *first], second];
                let _ = runs(family, &arguments);
            }
        }
    }
}
