package embedpg

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// RunningURL is the superuser's connection URL of a server that another process runs in dataDir; empty when none runs there.
// It is for commands that only want to ask something. An error means that one runs but cannot be reached by this user. An
// empty database means "pghub".
func RunningURL(dataDir, database string) (string, error) {
	cfg, err := Config{DataDir: dataDir, Database: database}.withDefaults()
	if err != nil {
		return "", err
	}
	pgdata := filepath.Join(cfg.DataDir, "pgdata")
	text, err := os.ReadFile(filepath.Join(pgdata, "postmaster.pid"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("looking for a running server: %w", err)
	}
	// Lines: process, data directory, start time, port, socket directory, ... (PostgreSQL's miscadmin.h, LOCK_FILE_LINE_*).
	lines := strings.Split(string(text), "\n")
	pid, err := readPostmasterPID(filepath.Join(pgdata, "postmaster.pid"))
	if err != nil || pid == 0 || !isServerOf(pid, pgdata) || len(lines) < 5 || lines[4] == "" {
		return "", nil
	}
	password, err := os.ReadFile(filepath.Join(cfg.DataDir, passwordFile))
	if err != nil {
		return "", fmt.Errorf("reading the password of the running server: %w", err)
	}
	return connectionURL(lines[4], lines[3], strings.TrimSpace(string(password)), cfg.Database), nil
}

// connectionURL names a database by the directory of the server's Unix socket.
func connectionURL(socketDir, port, password, database string) string {
	q := url.Values{}
	q.Set("host", socketDir)
	q.Set("port", port)
	q.Set("user", Superuser)
	q.Set("password", password)
	q.Set("sslmode", "disable")
	return (&url.URL{Scheme: "postgres", Path: "/" + database, RawQuery: q.Encode()}).String()
}
