package embedpg

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

const passwordFile = "password"

// clusterSettings are appended to a new cluster's postgresql.conf, where the user may change them.
const clusterSettings = `
# Set by pghub when it made this cluster.
max_connections = 200
wal_level = logical
max_wal_senders = 10
max_replication_slots = 10
`

// ensurePassword returns the superuser's password; the first time it makes one up and keeps it.
func ensurePassword(dataDir string, o *owner) (string, error) {
	path := filepath.Join(dataDir, passwordFile)
	text, err := os.ReadFile(path)
	if err == nil {
		if password := strings.TrimSpace(string(text)); password != "" {
			return password, nil
		}
		return "", fmt.Errorf("password file %s is empty: put the password of role %s into it", path, Superuser)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("reading the password of embedded PostgreSQL: %w", err)
	}
	if _, err := os.Stat(filepath.Join(dataDir, "pgdata")); err == nil {
		return "", fmt.Errorf("password file %s is missing: put the password of role %s into it", path, Superuser)
	}
	password := rand.Text()
	// initdb reads the file as the user that runs the server. Written beside and renamed, so that it is never half there.
	if err := os.WriteFile(path+".new", []byte(password+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("keeping the password of embedded PostgreSQL: %w", err)
	}
	if err := o.own(path + ".new"); err != nil {
		return "", err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("keeping the password of embedded PostgreSQL: %w", err)
	}
	return password, nil
}

// clusterMajor is the major version a cluster was made with, 0 when there is no cluster.
func clusterMajor(pgdata string) int {
	text, err := os.ReadFile(filepath.Join(pgdata, "PG_VERSION"))
	if err != nil {
		return 0
	}
	major, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return 0
	}
	return major
}

// ensureCluster initialises pgdata unless it exists. initdb works in a directory of another name that is moved into place at
// the end: what an interrupted one leaves is never taken for a cluster, and is removed here.
func ensureCluster(ctx context.Context, bin binaries, cfg Config, o *owner, log *slog.Logger) error {
	leftovers, err := filepath.Glob(filepath.Join(escapeGlob(cfg.DataDir), "initdb-*"))
	if err != nil {
		return fmt.Errorf("looking for interrupted initialisations: %w", err)
	}
	for _, dir := range leftovers {
		log.Warn("removing what an interrupted initialisation left", "dir", dir)
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("removing what an interrupted initialisation left: %w", err)
		}
	}
	pgdata := filepath.Join(cfg.DataDir, "pgdata")
	if _, err := os.Stat(pgdata); err == nil {
		return nil
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("looking at the cluster: %w", err)
	}
	log.Info("initialising a PostgreSQL cluster", "version", bin.version, "dir", pgdata)
	fresh, err := initdb(ctx, bin, cfg, o)
	if err != nil {
		return err
	}
	if err := os.Rename(fresh, pgdata); err != nil {
		return fmt.Errorf("moving the new cluster into place: %w", err)
	}
	return nil
}

// locales are tried in this order. The first sorts by code point everywhere and knows UTF-8; C is always there.
var locales = []string{"C.UTF-8", "C.utf8", "en_US.UTF-8", "C"}

// initdb makes a cluster and returns its directory.
func initdb(ctx context.Context, bin binaries, cfg Config, o *owner) (string, error) {
	for i := 0; ; i++ {
		dir, err := os.MkdirTemp(cfg.DataDir, "initdb-")
		if err != nil {
			return "", fmt.Errorf("creating a directory for the new cluster: %w", err)
		}
		if err := o.own(dir); err != nil {
			return "", err
		}
		output, err := runInitdb(ctx, bin, cfg, o, dir, locales[i])
		if err == nil {
			err = appendSettings(dir)
		}
		if err == nil {
			return dir, nil
		}
		err = errors.Join(err, os.RemoveAll(dir))
		if ctx.Err() != nil {
			return "", fmt.Errorf("initialising a cluster: %w", context.Cause(ctx))
		}
		if i+1 < len(locales) && bytes.Contains(output, []byte("locale")) {
			continue // this system does not have it
		}
		return "", fmt.Errorf("initialising a cluster with %s: %w\n%s", filepath.Join(bin.dir, "initdb"), err, bytes.TrimSpace(output))
	}
}

func runInitdb(ctx context.Context, bin binaries, cfg Config, o *owner, dir, locale string) ([]byte, error) {
	args := []string{
		"-D", dir, "-U", Superuser, "--pwfile", filepath.Join(cfg.DataDir, passwordFile),
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", locale, "--lc-messages", "C",
	}
	if cfg.Fast {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin.dir, "initdb"), args...)
	cmd.Dir = cfg.DataDir
	cmd.Env = serverEnv()
	cmd.SysProcAttr = sysProcAttr(o)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	err := withParentThread(cmd.Run)
	return output.Bytes(), err
}

func appendSettings(pgdata string) error {
	f, err := os.OpenFile(filepath.Join(pgdata, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(clusterSettings)
	return errors.Join(err, f.Close())
}

// serverEnv is the environment of initdb and the server: libpq's PG variables would change what they do, and pghub's own
// variables hold secrets that are none of theirs.
func serverEnv() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// escapeGlob makes a path literal for filepath.Glob.
func escapeGlob(path string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}
