# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_daypass_global_optspecs
    string join \n h/help V/version
end

function __fish_daypass_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_daypass_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_daypass_using_subcommand
    set -l cmd (__fish_daypass_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c daypass -n "__fish_daypass_needs_command" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_needs_command" -s V -l version -d 'Print version'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "init" -d 'Set up an account without IT: find the issuer, say what to register there, write your profile, sign in'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "login" -d 'Sign in to an account, or to every account that needs it'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "logout" -d 'Sign out of an account'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "status" -d 'Show the agent, the accounts, the keychain and the profile; exit code 4 when a sign-in is required'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "accounts" -d 'List the configured accounts'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "resources" -d 'List the configured resources and what this program could get'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "token" -d 'Print a token for a resource'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "run" -d 'Run a command with tokens in its environment'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "requests" -d 'List the open consent requests'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "approve" -d 'Answer a consent request with yes'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "deny" -d 'Answer a consent request with no'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "grants" -d 'List or revoke what programs may have without asking again'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "block" -d 'Block a program: it gets nothing and asks nothing; without a program, list the blocked ones'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "unblock" -d 'Let a blocked program ask again'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "pause" -d 'Pause: no program gets a token and nobody is asked, until it is over or taken back; it ends with the agent'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "resume" -d 'End the pause'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "audit" -d 'Show what was issued or refused, and to whom'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "profile" -d 'Show, check, compare or explain configuration profiles; needs no agent'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "doctor" -d 'Look for what is wrong, and say what to do about it: socket, port, keychain, profile, issuer, proxy, TLS, clock'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "agent" -d 'Run the agent in the foreground, or stop the running one'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "open" -d 'Open the home page in the browser'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "completions" -d 'Print what makes a shell complete this command'
complete -c daypass -n "__fish_daypass_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c daypass -n "__fish_daypass_using_subcommand init" -l provider -d 'What kind of provider it is' -r -f -a "entra\t'Microsoft Entra ID'
okta\t'Okta'
google\t'Google'
keycloak\t'Keycloak'
generic\t'Any other with OpenID Connect'"
complete -c daypass -n "__fish_daypass_using_subcommand init" -l client-id -d 'The client ID registered there' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand init" -l client-secret-file -d 'A file with the client secret, where the provider insists on one; - reads standard input' -r -F
complete -c daypass -n "__fish_daypass_using_subcommand init" -l redirect-uri -d 'A redirect address registered there; may be repeated [default: what is printed]' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand init" -l offline -d 'How a refresh token is asked for: auto, scope, parameter or none [default: what fits the provider]' -r -f -a "auto\t''
scope\t''
parameter\t''
none\t''"
complete -c daypass -n "__fish_daypass_using_subcommand init" -l account -d 'Name of the account [default: work]' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand init" -l audience -d 'Audience of a service to get access tokens for [default: an ID token of your own]' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand init" -l scope -d 'A scope of that service; may be repeated' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand init" -l resource -d 'Name of the resource [default: me, with --audience api]' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand init" -l dry-run -d 'Print the profile instead of writing it'
complete -c daypass -n "__fish_daypass_using_subcommand init" -l no-login -d 'Write the profile, but do not sign in'
complete -c daypass -n "__fish_daypass_using_subcommand init" -l undo -d 'Sign out and take out what an earlier run wrote'
complete -c daypass -n "__fish_daypass_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c daypass -n "__fish_daypass_using_subcommand login" -l max-age -d 'How long ago you may have signed in at the provider, such as 5m' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand login" -l acr-values -d 'Authentication context classes, separated by spaces, one of which the sign-in must have' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand login" -l claims -d 'Claims the sign-in must show, as JSON (OpenID Connect Core 5.5)' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand login" -l device -d 'Sign in with a code on another device, as when there is no browser here'
complete -c daypass -n "__fish_daypass_using_subcommand login" -l no-browser -d 'Print the address instead of opening the browser'
complete -c daypass -n "__fish_daypass_using_subcommand login" -l other-account -d 'Let the provider ask which of your accounts to use'
complete -c daypass -n "__fish_daypass_using_subcommand login" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand logout" -l all -d 'Sign out of every account'
complete -c daypass -n "__fish_daypass_using_subcommand logout" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand status" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand status" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand accounts" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand accounts" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand resources" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand resources" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand token" -l scope -d 'A scope the token must carry; may be repeated' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand token" -l min-valid -d 'How long the token must still be valid, such as 10m' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand token" -l wait -d 'How long to wait for consent, at most 2m [default: 2m with a terminal, else 0]' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand token" -l format -d 'How to print it' -r -f -a "raw\t'The token alone'
json\t'The whole answer as JSON'
header\t'An Authorization header'"
complete -c daypass -n "__fish_daypass_using_subcommand token" -l max-age -d 'How long ago you may have signed in at the provider, such as 5m' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand token" -l acr-values -d 'Authentication context classes, separated by spaces, one of which the sign-in must have' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand token" -l claims -d 'Claims the sign-in must show, as JSON (OpenID Connect Core 5.5)' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand token" -l refresh -d 'Ask the authorization server for a new token'
complete -c daypass -n "__fish_daypass_using_subcommand token" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c daypass -n "__fish_daypass_using_subcommand run" -l min-valid -d 'How long each token must still be valid, such as 10m' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand run" -l wait -d 'How long to wait for consent, at most 2m [default: 2m with a terminal, else 0]' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand run" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand requests" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand requests" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand approve" -l for -d 'For how long' -r -f -a "once\t'One token'
today\t'12 hours, or until the sign-out'
always\t'Until revoked'"
complete -c daypass -n "__fish_daypass_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c daypass -n "__fish_daypass_using_subcommand deny" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand grants; and not __fish_seen_subcommand_from revoke help" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand grants; and not __fish_seen_subcommand_from revoke help" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand grants; and not __fish_seen_subcommand_from revoke help" -f -a "revoke" -d 'Take a grant back'
complete -c daypass -n "__fish_daypass_using_subcommand grants; and not __fish_seen_subcommand_from revoke help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c daypass -n "__fish_daypass_using_subcommand grants; and __fish_seen_subcommand_from revoke" -l all -d 'Take every grant back'
complete -c daypass -n "__fish_daypass_using_subcommand grants; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand grants; and __fish_seen_subcommand_from help" -f -a "revoke" -d 'Take a grant back'
complete -c daypass -n "__fish_daypass_using_subcommand grants; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c daypass -n "__fish_daypass_using_subcommand block" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand block" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand unblock" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand pause" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand pause" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand resume" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l since -d 'Begin here: a time (RFC 3339), a date, or how long ago (2h); without it the newest 500 lines are shown' -r -f
complete -c daypass -n "__fish_daypass_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l follow -d 'Wait for new lines and print them as they come'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -l json -d 'Print JSON, one document a line'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -f -a "verify" -d 'Check that no line was changed or taken out'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and not __fish_seen_subcommand_from verify help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and __fish_seen_subcommand_from verify" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check that no line was changed or taken out'
complete -c daypass -n "__fish_daypass_using_subcommand audit; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and not __fish_seen_subcommand_from show check diff explain schema help" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and not __fish_seen_subcommand_from show check diff explain schema help" -f -a "show" -d 'Show the effective profile of this machine and user'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and not __fish_seen_subcommand_from show check diff explain schema help" -f -a "check" -d 'Check profile files; exit code 9 when one has an error'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and not __fish_seen_subcommand_from show check diff explain schema help" -f -a "diff" -d 'Tell what a change of managed profiles comes to: each value that differs, secrets not shown'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and not __fish_seen_subcommand_from show check diff explain schema help" -f -a "explain" -d 'Explain a key of the profile'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and not __fish_seen_subcommand_from show check diff explain schema help" -f -a "schema" -d 'Print the JSON Schema of a profile'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and not __fish_seen_subcommand_from show check diff explain schema help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from show" -l origin -d 'Show where each value comes from'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from show" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from check" -l as -d 'What the files are [default: user for the user\'s own profile, else managed]' -r -f -a "user\t'The user\'s own'
managed\t'From the organisation'"
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from check" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from diff" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from explain" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from schema" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show the effective profile of this machine and user'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check profile files; exit code 9 when one has an error'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "diff" -d 'Tell what a change of managed profiles comes to: each value that differs, secrets not shown'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "explain" -d 'Explain a key of the profile'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "schema" -d 'Print the JSON Schema of a profile'
complete -c daypass -n "__fish_daypass_using_subcommand profile; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c daypass -n "__fish_daypass_using_subcommand doctor" -l json -d 'Print JSON'
complete -c daypass -n "__fish_daypass_using_subcommand doctor" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand agent" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand open" -s h -l help -d 'Print help'
complete -c daypass -n "__fish_daypass_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "init" -d 'Set up an account without IT: find the issuer, say what to register there, write your profile, sign in'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "login" -d 'Sign in to an account, or to every account that needs it'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "logout" -d 'Sign out of an account'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "status" -d 'Show the agent, the accounts, the keychain and the profile; exit code 4 when a sign-in is required'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "accounts" -d 'List the configured accounts'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "resources" -d 'List the configured resources and what this program could get'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "token" -d 'Print a token for a resource'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "run" -d 'Run a command with tokens in its environment'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "requests" -d 'List the open consent requests'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "approve" -d 'Answer a consent request with yes'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "deny" -d 'Answer a consent request with no'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "grants" -d 'List or revoke what programs may have without asking again'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "block" -d 'Block a program: it gets nothing and asks nothing; without a program, list the blocked ones'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "unblock" -d 'Let a blocked program ask again'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "pause" -d 'Pause: no program gets a token and nobody is asked, until it is over or taken back; it ends with the agent'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "resume" -d 'End the pause'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "audit" -d 'Show what was issued or refused, and to whom'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "profile" -d 'Show, check, compare or explain configuration profiles; needs no agent'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "doctor" -d 'Look for what is wrong, and say what to do about it: socket, port, keychain, profile, issuer, proxy, TLS, clock'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "agent" -d 'Run the agent in the foreground, or stop the running one'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "open" -d 'Open the home page in the browser'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "completions" -d 'Print what makes a shell complete this command'
complete -c daypass -n "__fish_daypass_using_subcommand help; and not __fish_seen_subcommand_from init login logout status accounts resources token run requests approve deny grants block unblock pause resume audit profile doctor agent open completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
