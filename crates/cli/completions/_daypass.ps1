
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'daypass' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'daypass'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'daypass' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Set up an account without IT: find the issuer, say what to register there, write your profile, sign in')
            [CompletionResult]::new('login', 'login', [CompletionResultType]::ParameterValue, 'Sign in to an account, or to every account that needs it')
            [CompletionResult]::new('logout', 'logout', [CompletionResultType]::ParameterValue, 'Sign out of an account')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the agent, the accounts, the keychain and the profile; exit code 4 when a sign-in is required')
            [CompletionResult]::new('accounts', 'accounts', [CompletionResultType]::ParameterValue, 'List the configured accounts')
            [CompletionResult]::new('resources', 'resources', [CompletionResultType]::ParameterValue, 'List the configured resources and what this program could get')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Print a token for a resource')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run a command with tokens in its environment')
            [CompletionResult]::new('requests', 'requests', [CompletionResultType]::ParameterValue, 'List the open consent requests')
            [CompletionResult]::new('approve', 'approve', [CompletionResultType]::ParameterValue, 'Answer a consent request with yes')
            [CompletionResult]::new('deny', 'deny', [CompletionResultType]::ParameterValue, 'Answer a consent request with no')
            [CompletionResult]::new('grants', 'grants', [CompletionResultType]::ParameterValue, 'List or revoke what programs may have without asking again')
            [CompletionResult]::new('block', 'block', [CompletionResultType]::ParameterValue, 'Block a program: it gets nothing and asks nothing; without a program, list the blocked ones')
            [CompletionResult]::new('unblock', 'unblock', [CompletionResultType]::ParameterValue, 'Let a blocked program ask again')
            [CompletionResult]::new('pause', 'pause', [CompletionResultType]::ParameterValue, 'Pause: no program gets a token and nobody is asked, until it is over or taken back; it ends with the agent')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'End the pause')
            [CompletionResult]::new('audit', 'audit', [CompletionResultType]::ParameterValue, 'Show what was issued or refused, and to whom')
            [CompletionResult]::new('profile', 'profile', [CompletionResultType]::ParameterValue, 'Show, check, compare or explain configuration profiles; needs no agent')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Look for what is wrong, and say what to do about it: socket, port, keychain, profile, issuer, proxy, TLS, clock')
            [CompletionResult]::new('agent', 'agent', [CompletionResultType]::ParameterValue, 'Run the agent in the foreground, or stop the running one')
            [CompletionResult]::new('open', 'open', [CompletionResultType]::ParameterValue, 'Open the home page in the browser')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print what makes a shell complete this command')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'daypass;init' {
            [CompletionResult]::new('--provider', '--provider', [CompletionResultType]::ParameterName, 'What kind of provider it is')
            [CompletionResult]::new('--client-id', '--client-id', [CompletionResultType]::ParameterName, 'The client ID registered there')
            [CompletionResult]::new('--client-secret-file', '--client-secret-file', [CompletionResultType]::ParameterName, 'A file with the client secret, where the provider insists on one; - reads standard input')
            [CompletionResult]::new('--redirect-uri', '--redirect-uri', [CompletionResultType]::ParameterName, 'A redirect address registered there; may be repeated [default: what is printed]')
            [CompletionResult]::new('--offline', '--offline', [CompletionResultType]::ParameterName, 'How a refresh token is asked for: auto, scope, parameter or none [default: what fits the provider]')
            [CompletionResult]::new('--account', '--account', [CompletionResultType]::ParameterName, 'Name of the account [default: work]')
            [CompletionResult]::new('--audience', '--audience', [CompletionResultType]::ParameterName, 'Audience of a service to get access tokens for [default: an ID token of your own]')
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'A scope of that service; may be repeated')
            [CompletionResult]::new('--resource', '--resource', [CompletionResultType]::ParameterName, 'Name of the resource [default: me, with --audience api]')
            [CompletionResult]::new('--dry-run', '--dry-run', [CompletionResultType]::ParameterName, 'Print the profile instead of writing it')
            [CompletionResult]::new('--no-login', '--no-login', [CompletionResultType]::ParameterName, 'Write the profile, but do not sign in')
            [CompletionResult]::new('--undo', '--undo', [CompletionResultType]::ParameterName, 'Sign out and take out what an earlier run wrote')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'daypass;login' {
            [CompletionResult]::new('--max-age', '--max-age', [CompletionResultType]::ParameterName, 'How long ago you may have signed in at the provider, such as 5m')
            [CompletionResult]::new('--acr-values', '--acr-values', [CompletionResultType]::ParameterName, 'Authentication context classes, separated by spaces, one of which the sign-in must have')
            [CompletionResult]::new('--claims', '--claims', [CompletionResultType]::ParameterName, 'Claims the sign-in must show, as JSON (OpenID Connect Core 5.5)')
            [CompletionResult]::new('--device', '--device', [CompletionResultType]::ParameterName, 'Sign in with a code on another device, as when there is no browser here')
            [CompletionResult]::new('--no-browser', '--no-browser', [CompletionResultType]::ParameterName, 'Print the address instead of opening the browser')
            [CompletionResult]::new('--other-account', '--other-account', [CompletionResultType]::ParameterName, 'Let the provider ask which of your accounts to use')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;logout' {
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Sign out of every account')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;status' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;accounts' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;resources' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;token' {
            [CompletionResult]::new('--scope', '--scope', [CompletionResultType]::ParameterName, 'A scope the token must carry; may be repeated')
            [CompletionResult]::new('--min-valid', '--min-valid', [CompletionResultType]::ParameterName, 'How long the token must still be valid, such as 10m')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for consent, at most 2m [default: 2m with a terminal, else 0]')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'How to print it')
            [CompletionResult]::new('--max-age', '--max-age', [CompletionResultType]::ParameterName, 'How long ago you may have signed in at the provider, such as 5m')
            [CompletionResult]::new('--acr-values', '--acr-values', [CompletionResultType]::ParameterName, 'Authentication context classes, separated by spaces, one of which the sign-in must have')
            [CompletionResult]::new('--claims', '--claims', [CompletionResultType]::ParameterName, 'Claims the sign-in must show, as JSON (OpenID Connect Core 5.5)')
            [CompletionResult]::new('--refresh', '--refresh', [CompletionResultType]::ParameterName, 'Ask the authorization server for a new token')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'daypass;run' {
            [CompletionResult]::new('--min-valid', '--min-valid', [CompletionResultType]::ParameterName, 'How long each token must still be valid, such as 10m')
            [CompletionResult]::new('--wait', '--wait', [CompletionResultType]::ParameterName, 'How long to wait for consent, at most 2m [default: 2m with a terminal, else 0]')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;requests' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;approve' {
            [CompletionResult]::new('--for', '--for', [CompletionResultType]::ParameterName, 'For how long')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'daypass;deny' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;grants' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Take a grant back')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'daypass;grants;revoke' {
            [CompletionResult]::new('--all', '--all', [CompletionResultType]::ParameterName, 'Take every grant back')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;grants;help' {
            [CompletionResult]::new('revoke', 'revoke', [CompletionResultType]::ParameterValue, 'Take a grant back')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'daypass;grants;help;revoke' {
            break
        }
        'daypass;grants;help;help' {
            break
        }
        'daypass;block' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;unblock' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;pause' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;resume' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;audit' {
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'Begin here: a time (RFC 3339), a date, or how long ago (2h); without it the newest 500 lines are shown')
            [CompletionResult]::new('--follow', '--follow', [CompletionResultType]::ParameterName, 'Wait for new lines and print them as they come')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON, one document a line')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check that no line was changed or taken out')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'daypass;audit;verify' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;audit;help' {
            [CompletionResult]::new('verify', 'verify', [CompletionResultType]::ParameterValue, 'Check that no line was changed or taken out')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'daypass;audit;help;verify' {
            break
        }
        'daypass;audit;help;help' {
            break
        }
        'daypass;profile' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show the effective profile of this machine and user')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check profile files; exit code 9 when one has an error')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Tell what a change of managed profiles comes to: each value that differs, secrets not shown')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain a key of the profile')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print the JSON Schema of a profile')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'daypass;profile;show' {
            [CompletionResult]::new('--origin', '--origin', [CompletionResultType]::ParameterName, 'Show where each value comes from')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;profile;check' {
            [CompletionResult]::new('--as', '--as', [CompletionResultType]::ParameterName, 'What the files are [default: user for the user''s own profile, else managed]')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'daypass;profile;diff' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;profile;explain' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;profile;schema' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;profile;help' {
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show the effective profile of this machine and user')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Check profile files; exit code 9 when one has an error')
            [CompletionResult]::new('diff', 'diff', [CompletionResultType]::ParameterValue, 'Tell what a change of managed profiles comes to: each value that differs, secrets not shown')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain a key of the profile')
            [CompletionResult]::new('schema', 'schema', [CompletionResultType]::ParameterValue, 'Print the JSON Schema of a profile')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'daypass;profile;help;show' {
            break
        }
        'daypass;profile;help;check' {
            break
        }
        'daypass;profile;help;diff' {
            break
        }
        'daypass;profile;help;explain' {
            break
        }
        'daypass;profile;help;schema' {
            break
        }
        'daypass;profile;help;help' {
            break
        }
        'daypass;doctor' {
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print JSON')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;agent' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;open' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'daypass;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'daypass;help' {
            [CompletionResult]::new('init', 'init', [CompletionResultType]::ParameterValue, 'Set up an account without IT: find the issuer, say what to register there, write your profile, sign in')
            [CompletionResult]::new('login', 'login', [CompletionResultType]::ParameterValue, 'Sign in to an account, or to every account that needs it')
            [CompletionResult]::new('logout', 'logout', [CompletionResultType]::ParameterValue, 'Sign out of an account')
            [CompletionResult]::new('status', 'status', [CompletionResultType]::ParameterValue, 'Show the agent, the accounts, the keychain and the profile; exit code 4 when a sign-in is required')
            [CompletionResult]::new('accounts', 'accounts', [CompletionResultType]::ParameterValue, 'List the configured accounts')
            [CompletionResult]::new('resources', 'resources', [CompletionResultType]::ParameterValue, 'List the configured resources and what this program could get')
            [CompletionResult]::new('token', 'token', [CompletionResultType]::ParameterValue, 'Print a token for a resource')
            [CompletionResult]::new('run', 'run', [CompletionResultType]::ParameterValue, 'Run a command with tokens in its environment')
            [CompletionResult]::new('requests', 'requests', [CompletionResultType]::ParameterValue, 'List the open consent requests')
            [CompletionResult]::new('approve', 'approve', [CompletionResultType]::ParameterValue, 'Answer a consent request with yes')
            [CompletionResult]::new('deny', 'deny', [CompletionResultType]::ParameterValue, 'Answer a consent request with no')
            [CompletionResult]::new('grants', 'grants', [CompletionResultType]::ParameterValue, 'List or revoke what programs may have without asking again')
            [CompletionResult]::new('block', 'block', [CompletionResultType]::ParameterValue, 'Block a program: it gets nothing and asks nothing; without a program, list the blocked ones')
            [CompletionResult]::new('unblock', 'unblock', [CompletionResultType]::ParameterValue, 'Let a blocked program ask again')
            [CompletionResult]::new('pause', 'pause', [CompletionResultType]::ParameterValue, 'Pause: no program gets a token and nobody is asked, until it is over or taken back; it ends with the agent')
            [CompletionResult]::new('resume', 'resume', [CompletionResultType]::ParameterValue, 'End the pause')
            [CompletionResult]::new('audit', 'audit', [CompletionResultType]::ParameterValue, 'Show what was issued or refused, and to whom')
            [CompletionResult]::new('profile', 'profile', [CompletionResultType]::ParameterValue, 'Show, check, compare or explain configuration profiles; needs no agent')
            [CompletionResult]::new('doctor', 'doctor', [CompletionResultType]::ParameterValue, 'Look for what is wrong, and say what to do about it: socket, port, keychain, profile, issuer, proxy, TLS, clock')
            [CompletionResult]::new('agent', 'agent', [CompletionResultType]::ParameterValue, 'Run the agent in the foreground, or stop the running one')
            [CompletionResult]::new('open', 'open', [CompletionResultType]::ParameterValue, 'Open the home page in the browser')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print what makes a shell complete this command')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'daypass;help;init' {
            break
        }
        'daypass;help;login' {
            break
        }
        'daypass;help;logout' {
            break
        }
        'daypass;help;status' {
            break
        }
        'daypass;help;accounts' {
            break
        }
        'daypass;help;resources' {
            break
        }
        'daypass;help;token' {
            break
        }
        'daypass;help;run' {
            break
        }
        'daypass;help;requests' {
            break
        }
        'daypass;help;approve' {
            break
        }
        'daypass;help;deny' {
            break
        }
        'daypass;help;grants' {
            break
        }
        'daypass;help;block' {
            break
        }
        'daypass;help;unblock' {
            break
        }
        'daypass;help;pause' {
            break
        }
        'daypass;help;resume' {
            break
        }
        'daypass;help;audit' {
            break
        }
        'daypass;help;profile' {
            break
        }
        'daypass;help;doctor' {
            break
        }
        'daypass;help;agent' {
            break
        }
        'daypass;help;open' {
            break
        }
        'daypass;help;completions' {
            break
        }
        'daypass;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
