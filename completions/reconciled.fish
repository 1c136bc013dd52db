# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_reconciled_global_optspecs
    string join \n config= db= rules= json color= log-level= q/quiet v/verbose print-config h/help V/version
end

function __fish_reconciled_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_reconciled_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_reconciled_using_subcommand
    set -l cmd (__fish_reconciled_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c reconciled -n "__fish_reconciled_needs_command" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_needs_command" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_needs_command" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_needs_command" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_needs_command" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_needs_command" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_needs_command" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_needs_command" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_needs_command" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_needs_command" -s V -l version -d 'Print version'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "run" -d 'Keep in sync: passes on schedule until stopped, or one pass with --once'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "sync" -d 'Sync now: ask the running daemon, or make one pass where none runs'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "pause" -d 'Let collections rest: no passes until they are resumed'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "resume" -d 'Let paused collections go on'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "plan" -d 'Show what a pass would change, and change nothing'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "apply" -d 'Make exactly the changes of a saved plan, or none'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "init" -d 'Propose rules for a collection, by sample answers of its upstream or by an OpenAPI description'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "check" -d 'Check rules, settings and secrets; with --online ask the upstreams as well'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "fetch" -d 'Show some records of a binding as the upstream has them, beside what the rules make of them'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "record" -d 'Record on a cassette what a first pass reads, without secrets, so that rules can be tried offline'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "replay" -d 'Try the rules offline on a cassette: what they make of its records, and what a first pass would change'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "status" -d 'Show passes, links, and what waits for a person'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "usage" -d 'Show what was asked of upstreams, what it cost, and when a quota would run out'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "doctor" -d 'Look for what is wrong around the program, and change nothing'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "show" -d 'Show a record: its values here, at the base and at each upstream'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "explain" -d 'Explain why a record (or one field) is as it is'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "history" -d 'List what changed, newest first'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "undo" -d 'Take back what a pass changed, as edits that the next pass sends on; a plan, unless --apply says so'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "conflicts" -d 'List open conflicts'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "resolve" -d 'Decide a conflict; the next pass applies it'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "settle" -d 'Say what became of a write whose outcome nobody knows'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "approve" -d 'Approve a plan that a guard halted; the next pass carries it out'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "reject" -d 'Reject a plan that a guard halted: nothing of it is done, and its collection rests'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "backup" -d 'Back the database up into a file, also while a daemon works on it'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "restore" -d 'Put a backup in the place of the database, which is kept beside it'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "verify" -d 'Check that the database is whole and consistent; with --deep, ask upstreams, too'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "repair" -d 'Mend what verify finds, where that is no guess; a plan, unless --apply says so'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "auth" -d 'Sign in to upstreams with OAuth, see how that stands, give tokens up'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "secret" -d 'Keep secrets sealed beside the database'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "key" -d 'Make or replace the master key that seals tokens and secrets'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "install" -d 'Put the program, its units, its user and folders on this machine, or take them away'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "schema" -d 'Print the JSON Schema of the rules language'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "demo" -d 'Show two-way sync between two made-up upstreams and a database, in a minute'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "sim" -d 'Run the simulator\'s seeds; one seed shows its trace'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "completions" -d 'Print the completion script of a shell'
complete -c reconciled -n "__fish_reconciled_needs_command" -f -a "man" -d 'Print a man page, or write all of them into a folder'
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l once -d 'One pass of each collection, then stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l dry-run -d 'Show what a pass would change, like `plan`'
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l full -d 'Read everything, even where reading what changed would do'
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -l full -d 'Read everything, even where reading what changed would do'
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand sync" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l out -d 'Save the plan in this file, for `reconciled apply`' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l all -d 'List every change, also where there are more than 200, which are summed up else'
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l full -d 'Read everything, even where reading what changed would do'
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand apply" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l sample -d 'An answer of the listing as JSON, or records a line each; `-` is stdin; several are taken together' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l openapi -d 'An OpenAPI 3 description, JSON or YAML; `-` is stdin' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l base-url -d 'Where the API is [default: what the description says, else a placeholder]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l path -d 'The path of the listing, below the base URL [default: the collection\'s name, or the listing that is called so]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l records -d 'Where the records are in an answer, such as `.results[]` [default: the largest list of objects]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l id -d 'Where the id is in a record, such as `.number` [default: by its name, where it is unique]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l write -d 'Put them into RULES_DIR/COLLECTION-UPSTREAM.toml, which must not be there yet'
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -l online -d 'Ask each upstream who we are, and show one mapped record per binding'
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l limit -d 'So many records, from the first of the listing on' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l id -d 'The record with this remote id, by the point read' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l raw -d 'Records as they came, one a line, and nothing else'
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand fetch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l to -d 'The file to make; one that is there already is left alone' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l redact -d 'Replace the values of members with this name, such as `email` or `address.street`, by made-up ones' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l requests -d 'End after so many requests' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l max-mb -d 'End after about so many megabytes' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand record" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l limit -d 'Show so many records of each binding' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l all -d 'List every change, also where there are more than 200, which are summed up else'
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand replay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -l days -d 'Over how many days averages are taken, and how many are listed, up to 800' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand usage" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -l offline -d 'Leave out what asks upstreams'
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l record -d 'Only this record (a local id, COLLECTION/ID, or a remote id)' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l field -d 'Only this field' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l pass -d 'Only this pass, by its number' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l collection -d 'Only this collection' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l limit -d 'At most so many entries, up to 100000' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l record -d 'Only one record: a local id, COLLECTION/ID, or a remote id' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l collection -d 'Only if the pass is of this collection' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l delete -d 'Delete the records that the pass created; the next pass deletes them at upstreams, too'
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l apply -d 'Do it'
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l collection -d 'Only this collection' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l all -d 'Closed ones as well'
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand conflicts" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l take -d 'Take this side\'s value: `local`, `base`, or the name of an upstream' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l value -d 'Set this value, as JSON; one for each field of the conflict, in their order' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l delete -d 'Delete the record everywhere'
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l keep -d 'Keep the record, and create it again where it is missing'
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand resolve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l made -d 'It was made there, under this id' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l not-made -d 'It never happened: it is made anew if it is still wanted'
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand settle" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -l wins -d 'Of an upstream that was set back (restored from a backup): whose state counts, `local` or its name' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand approve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand reject" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -l force -d 'Replace the file where it is there'
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand backup" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -l deep -d 'Also compare every linked record with what its upstream says now'
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -l apply -d 'Do it, after a backup beside the database'
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand repair" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -f -a "login" -d 'Sign in to an upstream: in a browser, or by a code that is typed on another device'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -f -a "status" -d 'Show which upstreams are signed in to'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and not __fish_seen_subcommand_from login status revoke" -f -a "revoke" -d 'Give the tokens of an upstream up, there and here'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -l paste -d 'Sign in with a browser elsewhere, and paste the address that it ends at'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from login" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand auth; and __fish_seen_subcommand_from revoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -f -a "set" -d 'Keep a secret sealed; its value is read from stdin, never from the command line'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -f -a "list" -d 'List secrets that the rules name or that are kept, and where each is; never their values'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and not __fish_seen_subcommand_from set list rm" -f -a "rm" -d 'Remove a secret that is kept'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from set" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand secret; and __fish_seen_subcommand_from rm" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -f -a "create" -d 'Make a master key, where there is none'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and not __fish_seen_subcommand_from create rotate" -f -a "rotate" -d 'Seal everything with a new master key, and replace the old one'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand key; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l root -d 'Do it below this folder, as for the image of another machine' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l prefix -d 'Where the program, its units, man pages and completions go' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l dry-run -d 'Tell what would be done, and do nothing'
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l remove -d 'Take away what was installed; what was edited, rules and the database stay'
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand install" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand schema" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -l keep -d 'Leave the database and rules of the demo in this (new or empty) folder' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l twice -d 'Run each seed twice: it must give the same trace'
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l first -d 'Stop at the first seed that fails'
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand sim" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -l out -d 'Write all pages into this folder instead' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -l config -d 'Settings file [default: reconciled.toml, else /etc/reconciled/config.toml]' -r -F
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -l db -d 'Database file (setting `database`) [default: reconciled.db]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -l rules -d 'Folder of rules, or one file (setting `rules_dir`) [default: sync-rules]' -r
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -l color -d 'Colour: auto, always, never (setting `color`) [default: auto]' -r -f -a "auto\t''
always\t''
never\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -l log-level -d 'Log level: off, error, warn, info, debug, trace (setting `log.level`) [default: info for the daemon, else warn]' -r -f -a "off\t''
error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -l json -d 'Print data as JSON'
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -s q -l quiet -d 'Log errors only, show no progress'
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -s v -l verbose -d 'Log more: once for `debug`, twice for `trace`'
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -l print-config -d 'Print every setting with where it comes from, and stop'
complete -c reconciled -n "__fish_reconciled_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
