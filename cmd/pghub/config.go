package main

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/confmap"
	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/file"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/pflag"
)

// configError is a setting that cannot be used: one line, exit code 2, and nothing was started.
type configError struct{ text string }

func (e *configError) Error() string { return e.text }

func configErrorf(format string, args ...any) error {
	return &configError{text: strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")}
}

// bad says what is wrong with a setting and how to give it.
func (s setting) bad(format string, args ...any) error {
	return configErrorf("%s: %s (%s)", s.name, fmt.Sprintf(format, args...), s.where())
}

// addFlags declares the settings' flags. All are strings, so that every complaint about a value is ours and alike.
func addFlags(flags *pflag.FlagSet, settings []setting) {
	for _, s := range settings {
		usage := s.usage
		if s.env != "" {
			usage += " [" + s.env + "]"
		}
		if s.list {
			flags.StringArray(s.name, nil, usage)
		} else {
			flags.String(s.name, s.fallback, usage)
		}
	}
	if slices.ContainsFunc(settings, func(s setting) bool { return s.env != "" }) {
		flags.String("config", "", "YAML `file` with settings, named like the flags")
	}
}

// keyDelim separates nested keys, of which there are none; it must not occur in a key.
const keyDelim = "/"

// notGiven is the default of settings that must not be given without a value. No user can write it: it is no text for a
// variable or an argument of a process.
const notGiven = "\x00"

// loadConfig reads settings from, in ascending order of precedence: defaults, the --config file, the environment (an empty
// variable counts as not set, but for settings that must be filled), the flags. Every error is a *configError.
func loadConfig(flags *pflag.FlagSet, settings []setting, environ []string) (config, error) {
	k := koanf.New(keyDelim)
	defaults := map[string]any{}
	byEnv := map[string]setting{}
	for _, s := range settings {
		defaults[s.name] = s.fallback
		if s.list {
			defaults[s.name] = []string{}
		}
		if s.filled {
			defaults[s.name] = notGiven
		}
		if s.env != "" {
			byEnv[s.env] = s
		}
	}
	if err := k.Load(confmap.Provider(defaults, keyDelim), nil); err != nil {
		return config{}, configErrorf("defaults: %v", err)
	}
	if flags.Lookup("config") != nil {
		if err := loadFile(k, flags.Lookup("config").Value.String()); err != nil {
			return config{}, err
		}
	}
	err := k.Load(env.Provider(keyDelim, env.Opt{
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			s, ok := byEnv[name]
			switch {
			case !ok || value == "" && !s.filled:
				return "", nil
			case s.list:
				return s.name, splitList(value)
			default:
				return s.name, value
			}
		},
	}), nil)
	if err != nil {
		return config{}, configErrorf("environment: %v", err)
	}
	if err := k.Load(posflag.Provider(flags, keyDelim, k), nil); err != nil {
		return config{}, configErrorf("flags: %v", err)
	}
	return check(k, settings)
}

// loadFile reads the YAML file, if one is named. Keys it does not know are refused: a misspelt setting must not pass silently.
func loadFile(k *koanf.Koanf, path string) error {
	if path == "" {
		return nil
	}
	read := koanf.New(keyDelim)
	if err := read.Load(file.Provider(path), yaml.Parser()); err != nil {
		var pathError *os.PathError
		if errors.As(err, &pathError) {
			return configErrorf("config: cannot read %s: %v (flag --config)", path, pathError.Err)
		}
		return configErrorf("config: %s is not the YAML that is expected: %v (flag --config)", path, err)
	}
	values := map[string]any{}
	for key, value := range read.All() {
		i := slices.IndexFunc(serveSettings, func(s setting) bool { return s.name == key })
		if i < 0 {
			var known []string
			for _, s := range serveSettings {
				known = append(known, s.name)
			}
			return configErrorf("config: %s has an unknown setting %q; known are %s", path, key, strings.Join(known, ", "))
		}
		s := serveSettings[i]
		if !k.Exists(s.name) {
			continue // a setting of another command: one file serves them all
		}
		if value == nil { // "key:" with nothing behind it
			if s.filled {
				values[s.name] = ""
			}
			continue
		}
		if s.list {
			list, err := listOf(value)
			if err != nil {
				return configErrorf("config: %s: %s %v", path, s.name, err)
			}
			values[s.name] = list
			continue
		}
		switch value.(type) {
		case string, int, int64, uint64, float64, bool:
			values[s.name] = fmt.Sprint(value)
		default:
			return configErrorf("config: %s: %s must be a single value", path, s.name)
		}
	}
	if err := k.Load(confmap.Provider(values, keyDelim), nil); err != nil {
		return configErrorf("config: %s: %v", path, err)
	}
	return nil
}

// listOf takes a YAML list of strings, or one string with commas.
func listOf(value any) ([]string, error) {
	switch v := value.(type) {
	case string:
		return splitList(v), nil
	case []any:
		var list []string
		for _, item := range v {
			text, ok := item.(string)
			if !ok {
				return nil, fmt.Errorf("has an item %v that is not text", item)
			}
			list = append(list, text)
		}
		return list, nil
	default:
		return nil, errors.New("must be a list")
	}
}

func splitList(text string) []string {
	var list []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			list = append(list, item)
		}
	}
	return list
}

// check turns the settings' texts into a config, or says which is wrong.
func check(k *koanf.Koanf, settings []setting) (config, error) {
	var c config
	for _, s := range settings {
		text := strings.TrimSpace(k.String(s.name))
		var err error
		switch s.name {
		case settingListen.name: // of serve, proxy and simulate-github alike
			c.Listen, err = s.address(text)
		case settingHTTP.name:
			if text != "" {
				c.HTTP, err = s.address(text)
			}
		case settingGitHubListen.name:
			c.GitHubListen, err = s.address(text)
		case settingDatabaseURL.name:
			c.DatabaseURL, err = s.databaseURL(text)
		case settingDataDir.name:
			c.DataDir, err = s.directory(text)
		case settingGitHubURL.name:
			c.GitHubURL, err = s.httpURL(text)
		case settingGitHubToken.name:
			c.GitHubToken, err = s.token(text)
		case settingRepo.name:
			c.Repos, err = s.repositories(k.Strings(s.name))
		case settingPollInterval.name:
			c.PollInterval, err = s.duration(text, time.Second)
		case settingWriteInterval.name:
			c.WriteInterval, err = s.duration(text, 0)
		case settingWebhookSecret.name:
			c.WebhookSecret, err = s.webhookSecret(k.String(s.name))
		case settingWebhookRetention.name:
			c.WebhookRetention, err = s.duration(text, time.Minute)
		case settingSeed.name:
			c.Seed, err = s.number(text, 64)
		case settingRepos.name:
			var n int64
			n, err = s.number(text, 31)
			c.SimRepos = int(n)
		case settingIssues.name:
			var n int64
			n, err = s.number(text, 31)
			c.SimIssues = int(n)
		}
		if err != nil {
			return config{}, err
		}
	}
	return c, nil
}

func (s setting) address(text string) (string, error) {
	_, port, err := net.SplitHostPort(text)
	if err != nil {
		return "", s.bad("%q is not an address such as %s", text, s.fallback)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return "", s.bad("%q must end in a port from 0 to 65535", text)
	}
	return text, nil
}

func (s setting) databaseURL(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	parsed, err := pgconn.ParseConfig(text)
	if err != nil {
		// The library's message quotes the text, which may hold a password in a place where it is not recognised as one.
		return "", s.bad("not a Postgres connection URL such as postgres://user:password@host:5432/pghub")
	}
	if parsed.Database == "" {
		return "", s.bad("names no database: end it in one, such as /pghub")
	}
	return text, nil
}

func (s setting) directory(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	if rest, ok := strings.CutPrefix(text, "~/"); ok { // in a YAML file no shell expands it
		home, err := os.UserHomeDir()
		if err != nil {
			return "", s.bad("%q: there is no home directory here", text)
		}
		text = filepath.Join(home, rest)
	}
	dir, err := filepath.Abs(text)
	if err != nil {
		return "", s.bad("%q: %v", text, err)
	}
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		return "", s.bad("%s is a file, not a directory", dir)
	}
	return dir, nil
}

func (s setting) httpURL(text string) (string, error) {
	u, err := url.Parse(text)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", s.bad("not an http or https URL such as %s", s.fallback)
	}
	if u.User != nil {
		return "", s.bad("must not hold a user name or password: use github-token")
	}
	return text, nil
}

func (s setting) token(text string) (string, error) {
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", s.bad("holds a character that no token has (a space or line break, perhaps)")
	}
	return text, nil
}

// webhookSecret refuses an empty one, with which anybody could sign, and what is likely to differ from GitHub's by accident.
func (s setting) webhookSecret(text string) (string, error) {
	switch {
	case text == notGiven:
		return "", nil
	case strings.TrimSpace(text) == "":
		return "", s.bad("is set but empty: give the webhook's secret, or leave the setting out to have no webhooks")
	case strings.TrimSpace(text) != text:
		return "", s.bad("starts or ends with a space or line break")
	}
	return text, nil
}

var repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+$`)

func (s setting) repositories(list []string) ([]string, error) {
	var repos []string
	for _, item := range list {
		for _, name := range splitList(item) {
			if !repositoryPattern.MatchString(name) {
				return nil, s.bad("%q is not of the form owner/name", name)
			}
			repos = append(repos, name)
		}
	}
	return repos, nil
}

func (s setting) duration(text string, least time.Duration) (time.Duration, error) {
	if text == "0" && least == 0 {
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, s.bad("%q is not a time such as %s; units are ms, s, m and h", text, s.fallback)
	}
	if d < least {
		return 0, s.bad("%s is less than %s", d, least)
	}
	return d, nil
}

func (s setting) number(text string, bits int) (int64, error) {
	n, err := strconv.ParseInt(text, 10, bits+min(64-bits, 1))
	if err != nil || n < 0 {
		return 0, s.bad("%q is not a number of 0 or more", text)
	}
	return n, nil
}
