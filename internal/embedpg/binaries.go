package embedpg

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// MinMajor is the oldest PostgreSQL release that pghub's schema works on.
const MinMajor = 15

// binaries is one PostgreSQL installation.
type binaries struct {
	dir     string // holds initdb and postgres
	version string // "15.18"
	major   int
	minor   int
}

// searchPatterns are the places, besides PATH, where distributions and Homebrew put server binaries that they keep out of PATH.
var searchPatterns = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // the PostgreSQL project's RPMs
	"/usr/libexec/postgresql*",          // Alpine
	"/usr/local/pgsql/bin",              // built from source
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple silicon
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel
	"/home/linuxbrew/.linuxbrew/opt/postgresql*/bin",
}

// findBinaries returns the newest installation, or, for an existing cluster, one of its major version (another cannot read it).
// Where there is none it fetches one. major 0 means any.
func findBinaries(ctx context.Context, major int, log *slog.Logger) (binaries, error) {
	found := installed(ctx, os.Getenv("PATH"), searchPatterns)
	if b, ok := choose(found, major); ok {
		return b, nil
	}
	if ctx.Err() != nil { // nothing was found because nothing could be asked any more
		return binaries{}, fmt.Errorf("looking for PostgreSQL: %w", context.Cause(ctx))
	}
	b, err := fetch(ctx, fetchConfig{major: major}, log)
	if err != nil {
		want := fmt.Sprintf("PostgreSQL %d or newer", MinMajor)
		if major != 0 {
			want = fmt.Sprintf("PostgreSQL %d, which this data directory was made with,", major)
		}
		return binaries{}, fmt.Errorf("%s is neither installed nor could it be fetched: install your system's postgresql package, or use a server of your own with --database-url: %w", want, err)
	}
	return b, nil
}

// choose takes the first installation of the major version, or with major 0 the first that is new enough.
func choose(found []binaries, major int) (binaries, bool) {
	for _, b := range found {
		if b.major == major || major == 0 && b.major >= MinMajor {
			return b, true
		}
	}
	return binaries{}, false
}

// installed lists the installations in PATH and under the patterns, newest first.
func installed(ctx context.Context, path string, patterns []string) []binaries {
	dirs := filepath.SplitList(path)
	for _, pattern := range patterns {
		matches, err := filepath.Glob(pattern)
		if err != nil {
			continue // a pattern of ours that is malformed finds nothing
		}
		dirs = append(dirs, matches...)
	}
	var found []binaries
	seen := map[string]bool{}
	for _, dir := range dirs {
		if !filepath.IsAbs(dir) {
			continue // an entry like "." in PATH is nothing to run a server from
		}
		postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
		if err != nil {
			continue
		}
		// A link in PATH leads to the installation: its directory has the other programs.
		dir = filepath.Dir(postgres)
		if seen[dir] {
			continue
		}
		seen[dir] = true
		if b, err := inspect(ctx, dir); err == nil {
			found = append(found, b)
		}
	}
	slices.SortStableFunc(found, func(a, b binaries) int {
		return cmp.Or(cmp.Compare(b.major, a.major), cmp.Compare(b.minor, a.minor))
	})
	return found
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)(?:\.(\d+))?`)

// inspect asks the server binary in dir for its version and sees that initdb is there too.
func inspect(ctx context.Context, dir string) (binaries, error) {
	if _, err := exec.LookPath(filepath.Join(dir, "initdb")); err != nil {
		return binaries{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "--version").Output()
	if err != nil {
		return binaries{}, fmt.Errorf("asking %s for its version: %w", filepath.Join(dir, "postgres"), err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return binaries{}, fmt.Errorf("%s says %q, which is no PostgreSQL version", filepath.Join(dir, "postgres"), strings.TrimSpace(string(out)))
	}
	b := binaries{dir: dir}
	b.major, _ = strconv.Atoi(string(m[1]))
	b.minor, _ = strconv.Atoi(string(m[2])) // empty for a beta ("17beta1"): 0
	b.version = strings.TrimSuffix(string(m[1])+"."+string(m[2]), ".")
	return b, nil
}
