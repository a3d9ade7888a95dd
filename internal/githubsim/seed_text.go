package githubsim

// The material of the generated data. Logins are invented.

var people = []struct{ login, name string }{
	{"octavia", "Octavia Moreno"},
	{"priya-nair", "Priya Nair"},
	{"tomasz-k", "Tomasz Kowalski"},
	{"yuki-hoshino", "星野 ゆき"},
	{"sam-okafor", "Sam Okafor"},
	{"ingrid-solberg", "Ingrid Solberg"},
	{"mateo-ruiz", "Mateo Ruíz"},
	{"zoe-laurent", "Zoé Laurent"},
	{"dmitri-v", "Дмитрий Волков"},
	{"amina-bello", "Amina Bello"},
	{"leo-fischer", "Leo Fischer"},
	{"wei-zhang-dev", "张伟"},
	{"hannah-cole", "Hannah Cole"},
	{"rafael-souza", "Rafael Souza"},
}

var places = []string{"Lisbon", "Kraków", "Sapporo", "Lagos", "Oslo", "São Paulo", "Lyon", "Halifax"}

var bios = []string{"", "", "Builds things that fly.", "Distributed systems, mostly undistributed.", "☕ → code", "Maintainer by accident."}

var issueTypes = []struct{ name, description, color string }{
	{"Task", "A specific piece of work", "yellow"},
	{"Bug", "An unexpected problem or behavior", "red"},
	{"Feature", "A request, idea, or new functionality", "blue"},
}

type labelText struct{ name, color, description string }

// standardLabels are those that GitHub gives every new repository.
var standardLabels = []labelText{
	{"bug", "d73a4a", "Something isn't working"},
	{"documentation", "0075ca", "Improvements or additions to documentation"},
	{"duplicate", "cfd3d7", "This issue or pull request already exists"},
	{"enhancement", "a2eeef", "New feature or request"},
	{"good first issue", "7057ff", "Good for newcomers"},
	{"help wanted", "008672", "Extra attention is needed"},
	{"invalid", "e4e669", "This doesn't seem right"},
	{"question", "d876e3", "Further information is requested"},
	{"wontfix", "ffffff", "This will not be worked on"},
}

var projectLabels = []labelText{
	{"area/api", "1d76db", "The public interface"},
	{"area/storage", "0e8a16", "Files, caches, databases"},
	{"area/ui", "fbca04", "What people see"},
	{"c#", "178600", "Bindings for C#"},
	{"needs triage", "ededed", "Nobody looked at it yet"},
	{"performance 🏎️", "c5def5", "Too slow, or too much memory"},
	{"priority: high", "b60205", "Before anything else"},
	{"priority: low", "c2e0c6", "When there is time"},
	{"regression", "e11d21", "Worked in an earlier version"},
	{"security", "ee0701", "Report details in private"},
}

var projects = []struct {
	name, description, language string
	topics, parts               []string
}{
	{
		"rocket", "Launch scheduling with a memory of what went wrong last time 🚀", "Go",
		[]string{"scheduler", "go", "aerospace"},
		[]string{"scheduler", "countdown", "launch-window", "telemetry", "abort-sequence", "fuel-model", "config-loader", "retry-queue"},
	},
	{
		"telescope", "Queries over very long exposures", "Rust",
		[]string{"images", "query", "astronomy"},
		[]string{"tile-cache", "mosaic", "exposure-parser", "fits-reader", "coordinate-grid", "thumbnailer", "http-api"},
	},
	{
		"dotfiles", "My configuration, kept honest by CI", "Shell",
		[]string{"dotfiles"},
		[]string{"zsh-prompt", "tmux", "installer", "git-aliases", "font-setup"},
	},
	{
		"ground-station", "Talks to satellites, politely", "TypeScript",
		[]string{"radio", "websocket"},
		[]string{"antenna-tracker", "pass-planner", "dashboard", "decoder", "alerting", "login"},
	},
	{
		"cartographer", "Maps that know how old they are", "Python",
		[]string{"maps", "geo"},
		[]string{"projection", "tile-server", "geojson-export", "legend", "style-editor"},
	},
}

// subject is a kind of issue: its label, and how its texts begin.
type subject struct {
	label            string
	titles, openings []string
}

var subjects = []subject{
	{
		"bug",
		[]string{"%s crashes on empty input", "Panic in %s after upgrading", "%s leaks file descriptors", "Wrong time zone in %s", "%s ignores the configured timeout", "Race in %s under load", "%s returns 200 with an error inside"},
		[]string{"Since the last release `%s` fails for us about once an hour.", "I can make `%s` fail every time with the steps below.", "`%s` does something different from what the documentation says."},
	},
	{
		"enhancement",
		[]string{"Add dry-run mode to %s", "Let %s read from stdin", "Make the limits of %s configurable", "Support IPv6 in %s", "%s: show progress", "Cache results of %s between runs"},
		[]string{"It would help a lot if `%s` could do this by itself.", "We keep patching `%s` locally and would rather send it upstream.", "Proposal for `%s`; comments welcome before I start."},
	},
	{
		"documentation",
		[]string{"Document the flags of %s", "README: the example for %s does not compile", "Explain how %s orders its output"},
		[]string{"The page about `%s` stops where it gets interesting.", "It took me an afternoon to find out how `%s` is meant to be used."},
	},
	{
		"question",
		[]string{"How do I run %s behind a proxy?", "Is %s safe to call from several goroutines?", "What happens to %s on a full disk?"},
		[]string{"I could not find out from the source of `%s`.", "Asking here because the forum has no answer about `%s`."},
	},
}

var paragraphs = []string{
	"We run about forty of these, and only the ones behind the slow link show it. Restarting helps for a while.",
	"Version 1.4.2, Linux amd64, nothing unusual in the configuration. The same data works on a laptop.",
	"I looked into it for an hour: the value is right when it is read and wrong when it is written, so something in between keeps a copy.",
	"Workaround: set the limit to 0, which happens to disable the check. Not something I want to ship. 😅",
	"- [x] searched for existing issues\n- [x] tried the main branch\n- [ ] asked in chat",
	"What I expect: the same answer as last time.\nWhat I get: an empty list and no error.",
	"This is not urgent for us, but it will be when the next season starts — the volume is \"seasonal\" to put it mildly.",
	"Happy to send a pull request if somebody tells me where it should go.",
	"| setting | result |\n| --- | --- |\n| default | fails |\n| `--safe` | works, 3× slower |",
	"Related to the discussion we had in März; the numbers there are still roughly right (±5 %).",
}

var traces = []string{
	"panic: runtime error: index out of range [3] with length 3\n\ngoroutine 17 [running]:\nmain.(*window).next(0xc0000b2000)\n\t/src/window.go:118 +0x1d4",
	"Error: ENOENT: no such file or directory, open '/var/lib/cache/index.json'\n    at Object.openSync (node:fs:601:3)",
	"thread 'main' panicked at src/grid.rs:204:31:\ncalled `Option::unwrap()` on a `None` value",
	"Traceback (most recent call last):\n  File \"app.py\", line 42, in <module>\nKeyError: 'epoch'",
}

var remarks = []string{
	"I can reproduce this on 1.4.2, but not on main. Could you try a nightly build?",
	"Thanks for the report! 🙏 Labelled and queued.",
	"+1, same here.",
	"This was introduced when we moved the cache out of the request path. I have a fix, tests to follow.",
	"Could you share the configuration (without secrets)?",
	"Closing the loop: the fix is out, please reopen if you still see it.",
	"I would rather not add another flag for this. What if the default did the right thing?",
	"```go\nif err != nil {\n\treturn fmt.Errorf(\"reading window: %w\", err)\n}\n```\nThis swallows the cause; it should be `errors.Join`.",
	"Measured it: 12 ms before, 3 ms after. Good enough for me.",
	"Friendly ping – is anybody working on this?",
	"> tried the main branch\n\nWhich commit? There was a fix two days ago.",
	"Duplicate of the one about time zones, I think. すみません if not.",
}
