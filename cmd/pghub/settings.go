package main

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// setting is one thing a user can set: by a flag, by an environment variable, or by a key of the --config file that is named
// like the flag.
type setting struct {
	name     string // of the flag, without dashes, and of the YAML key
	env      string
	fallback string // the default, as the user would write it
	usage    string // `kind` in backquotes, as pflag wants it
	list     bool   // may be given several times
	secret   bool   // never printed
	// filled: given without a value it is an error, not the default.
	filled bool
}

// The settings of serve and proxy; docs/reference.md has the same table.
var (
	settingListen = setting{name: "listen", env: "PGHUB_LISTEN", fallback: "127.0.0.1:6433",
		usage: "`address` for Postgres clients; port 0 picks one"}
	settingHTTP = setting{name: "http", env: "PGHUB_HTTP", fallback: "127.0.0.1:8080",
		usage: "`address` for /healthz, /readyz and /github/webhook; port 0 picks one, empty: none"}
	settingDatabaseURL = setting{name: "database-url", env: "PGHUB_DATABASE_URL", secret: true,
		usage: "connection `URL` of your own PostgreSQL 15 or newer; empty: an embedded one in the data directory"}
	settingDataDir = setting{name: "data-dir", env: "PGHUB_DATA_DIR",
		usage: "`directory` of the embedded PostgreSQL (default ~/.local/share/pghub, as root /var/lib/pghub)"}
	settingGitHubURL = setting{name: "github-url", env: "PGHUB_GITHUB_URL", fallback: "https://api.github.com/",
		usage: "REST `URL` of GitHub; for Enterprise Server https://HOST/api/v3/"}
	settingGitHubToken = setting{name: "github-token", env: "GITHUB_TOKEN", secret: true,
		usage: "`token` to read and write GitHub with; better given by the environment variable than by the flag, which other users can see"}
	settingRepo = setting{name: "repo", env: "PGHUB_REPOS", list: true,
		usage: "repository to mirror, as `owner/name`, repeatable; none: every repository the token can see"}
	settingPollInterval = setting{name: "poll-interval", env: "PGHUB_POLL_INTERVAL", fallback: "60s",
		usage: "`time` between two polls of a repository"}
	settingWriteInterval = setting{name: "write-interval", env: "PGHUB_WRITE_INTERVAL", fallback: "1s",
		usage: "`time` between two writes to GitHub; GitHub advises 1s, 0 turns the pause off"}
	settingWebhookSecret = setting{name: "webhook-secret", env: "PGHUB_WEBHOOK_SECRET", secret: true, filled: true,
		usage: "`secret` of the webhook at GitHub, which delivers to /github/webhook of the HTTP address; not set: no webhooks, polls alone; better given by the environment variable than by the flag, which other users can see"}
	settingWebhookRetention = setting{name: "webhook-retention", env: "PGHUB_WEBHOOK_RETENTION", fallback: "336h",
		usage: "`time` for which processed and ignored webhook deliveries are kept"}
)

var serveSettings = []setting{
	settingListen, settingHTTP, settingDatabaseURL, settingDataDir, settingGitHubURL, settingGitHubToken,
	settingRepo, settingPollInterval, settingWriteInterval, settingWebhookSecret, settingWebhookRetention,
}

var databaseSettings = []setting{settingDatabaseURL, settingDataDir}

// The settings of the demo and of the simulated GitHub alone: flags only.
var (
	settingGitHubListen = setting{name: "github-listen", fallback: "127.0.0.1:9480",
		usage: "`address` of the simulated GitHub; port 0 picks one"}
	settingDemoDataDir = setting{name: "data-dir",
		usage: "`directory` to keep the demo's database in; empty: a temporary one that is removed at the end"}
	settingSimulatorListen = setting{name: "listen", fallback: "127.0.0.1:9480",
		usage: "`address` to listen on; port 0 picks one"}
	settingSeed   = setting{name: "seed", fallback: "1", usage: "`number` that the simulated data follows from"}
	settingRepos  = setting{name: "repos", fallback: "3", usage: "`number` of repositories"}
	settingIssues = setting{name: "issues", fallback: "300", usage: "`number` of issues, about, over all repositories"}
)

// config holds the checked settings of one command; those the command does not have are zero.
type config struct {
	Listen        string
	HTTP          string
	DatabaseURL   string // empty: embedded
	DataDir       string // absolute; for the demo empty: temporary
	GitHubURL     string
	GitHubToken   string
	Repos         []string
	PollInterval  time.Duration
	WriteInterval time.Duration

	WebhookSecret    string // empty: not set
	WebhookRetention time.Duration

	GitHubListen string
	Seed         int64
	SimRepos     int
	SimIssues    int
}

// defaultDataDir is where the embedded database lives when nobody says.
func defaultDataDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/pghub"
	}
	if dir := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(dir) {
		return filepath.Join(dir, "pghub")
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "" // checked: the user is asked to name a directory
	}
	return filepath.Join(home, ".local", "share", "pghub")
}

// where names the ways to give a setting, for error messages.
func (s setting) where() string {
	ways := []string{"flag --" + s.name}
	if s.env != "" {
		ways = append(ways, "environment "+s.env, "config key "+s.name)
	}
	return strings.Join(ways, ", ")
}
