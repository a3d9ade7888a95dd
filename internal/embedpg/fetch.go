package embedpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

// fetchVersions are the releases that can be fetched, by major version; 0 is the one for a new cluster: the release whose
// grammar our parser has.
var fetchVersions = map[int]embeddedpostgres.PostgresVersion{
	0:  embeddedpostgres.V17,
	15: embeddedpostgres.V15,
	16: embeddedpostgres.V16,
	17: embeddedpostgres.V17,
	18: embeddedpostgres.V18,
}

type fetchConfig struct {
	major      int    // 0: any
	cacheDir   string // empty: fetchCacheDir
	repository string // empty: the library's default
}

// fetchCacheDir is where fetched binaries are kept. Root's home is closed to the unprivileged user that runs the server.
func fetchCacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/pghub", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding a directory for fetched PostgreSQL binaries: %w", err)
	}
	return filepath.Join(dir, "pghub"), nil
}

// fetch downloads and unpacks PostgreSQL binaries, once per version and user.
func fetch(ctx context.Context, cfg fetchConfig, log *slog.Logger) (binaries, error) {
	version, ok := fetchVersions[cfg.major]
	if !ok {
		return binaries{}, fmt.Errorf("no PostgreSQL %d to fetch", cfg.major)
	}
	if cfg.cacheDir == "" {
		dir, err := fetchCacheDir()
		if err != nil {
			return binaries{}, err
		}
		cfg.cacheDir = dir
	}
	target := filepath.Join(cfg.cacheDir, "postgresql-"+string(version))
	if b, err := inspect(ctx, filepath.Join(target, "bin")); err == nil {
		return b, nil
	}
	log.Info("no PostgreSQL server found: fetching one, once", "version", version, "to", target)
	if err := os.MkdirAll(cfg.cacheDir, 0o755); err != nil {
		return binaries{}, fmt.Errorf("creating a directory for PostgreSQL binaries: %w", err)
	}
	work, err := os.MkdirTemp(cfg.cacheDir, "fetch-")
	if err != nil {
		return binaries{}, fmt.Errorf("creating a directory for PostgreSQL binaries: %w", err)
	}
	// The library takes no context. When ctx ends it is left to finish, and then to tidy up, by itself.
	unpacked := filepath.Join(work, "postgresql")
	result := make(chan error, 1)
	go func() { result <- unpack(cfg, version, work, unpacked) }()
	select {
	case <-ctx.Done():
		go func() {
			<-result
			os.RemoveAll(work)
		}()
		return binaries{}, fmt.Errorf("fetching PostgreSQL %s: %w", version, context.Cause(ctx))
	case err = <-result:
		defer os.RemoveAll(work)
	}
	if err != nil {
		return binaries{}, err
	}
	// Unpacked whole, then moved: an interrupted fetch leaves nothing that looks like an installation.
	if err := os.RemoveAll(target); err != nil {
		return binaries{}, fmt.Errorf("removing incomplete PostgreSQL binaries: %w", err)
	}
	if err := os.Rename(unpacked, target); err != nil {
		return binaries{}, fmt.Errorf("moving PostgreSQL binaries into place: %w", err)
	}
	return inspect(ctx, filepath.Join(target, "bin"))
}

// unpack makes the library fetch and unpack into dir. The library only knows "start", which does both and then runs a server
// with rules other than ours (as root not at all). A data directory with nothing but PG_VERSION in it makes that start fail
// right after everything was unpacked, with an error that says so; any other error comes from before.
func unpack(cfg fetchConfig, version embeddedpostgres.PostgresVersion, work, dir string) error {
	data := filepath.Join(work, "not-a-cluster")
	if err := os.Mkdir(data, 0o700); err != nil {
		return fmt.Errorf("preparing to fetch PostgreSQL: %w", err)
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte(version), 0o600); err != nil {
		return fmt.Errorf("preparing to fetch PostgreSQL: %w", err)
	}
	config := embeddedpostgres.DefaultConfig().Version(version).Port(0).Logger(io.Discard).
		CachePath(filepath.Join(work, "archive")).RuntimePath(filepath.Join(work, "runtime")).
		BinariesPath(dir).DataPath(data)
	if cfg.repository != "" {
		config = config.BinaryRepositoryURL(cfg.repository)
	}
	db := embeddedpostgres.NewDatabase(config)
	err := db.Start()
	if err == nil {
		return errors.Join(errors.New("fetching PostgreSQL: a server started in an empty data directory"), db.Stop())
	}
	if !strings.HasPrefix(err.Error(), "could not start postgres") {
		return fmt.Errorf("fetching PostgreSQL %s: %w", version, err)
	}
	return nil
}
