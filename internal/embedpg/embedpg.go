// Package embedpg runs a private PostgreSQL server in a data directory: the database that pghub uses when it is given none,
// and the one that the tests use.
//
// A data directory holds:
//
//	pgdata/          the cluster
//	password         the superuser's generated password, mode 0600
//	run/             the Unix socket, unless its path would be too long
//	postgres.log     the server's own log
//	lock             held (flock) by the process that runs the server
//
// Unix only: it needs sockets, signals and flock.
package embedpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Superuser is the name of the role that owns the cluster.
const Superuser = "pghub"

// defaultPort names the socket file (".s.PGSQL.5432"); no TCP port is opened unless Config.Listen asks for one.
const defaultPort = 5432

// startTimeout bounds the wait for a server that was started to answer. Crash recovery of a large cluster takes its time.
const startTimeout = 2 * time.Minute

// Config says where the cluster lives and how it is run.
type Config struct {
	// DataDir holds the cluster and everything that belongs to it; it is created if missing. Required.
	DataDir string
	// Listen is a loopback "host:port" to listen on besides the Unix socket; port 0 lets the kernel pick. Empty: socket only.
	Listen string
	// Fast gives up durability for speed (fsync off): for tests and demos, whose data may be lost.
	Fast bool
	// Database is the database to create; empty means "pghub".
	Database string
	// Logger receives a few lines about what is being done; nil discards them. The server's own log goes to a file.
	Logger *slog.Logger

	orphanWait time.Duration // how long a server whose pghub is gone gets to end; 0: defaultOrphanWait
}

// Server is a running PostgreSQL server. It belongs to the process that started it and must be ended by Stop; should the
// process die first, the server shuts itself down.
type Server struct {
	dataDir  string
	database string
	password string
	socket   socketDir
	host     string // of Listen; empty when there is no TCP listener
	port     int
	process  *process
	lock     *os.File
	log      *slog.Logger
}

// Start finds PostgreSQL (or fetches it), initialises the data directory if that was not done yet, starts the server and
// waits until it answers. ctx bounds the start only; the server then runs until Stop.
//
// Errors worth telling apart are *InUseError (somebody else runs this data directory) and *StartError (the server gave up;
// it carries the end of the server's log).
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	owner, err := serverOwner()
	if err != nil {
		return nil, err
	}
	if err := prepareDataDir(cfg.DataDir, owner); err != nil {
		return nil, err
	}
	lock, err := lockDataDir(ctx, cfg.DataDir)
	if err != nil {
		return nil, err
	}
	s := &Server{dataDir: cfg.DataDir, database: cfg.Database, lock: lock, log: cfg.Logger}
	if err := s.start(ctx, cfg, owner); err != nil {
		s.socket.remove()
		return nil, errors.Join(err, lock.Close())
	}
	return s, nil
}

func (c Config) withDefaults() (Config, error) {
	if c.DataDir == "" {
		return c, errors.New("embedded PostgreSQL needs a data directory")
	}
	dir, err := filepath.Abs(c.DataDir)
	if err != nil {
		return c, fmt.Errorf("resolving data directory %s: %w", c.DataDir, err)
	}
	c.DataDir = dir
	if c.Database == "" {
		c.Database = "pghub"
	}
	if c.orphanWait == 0 {
		c.orphanWait = defaultOrphanWait
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return c, nil
}

// start does the work of Start once the data directory is ours alone.
func (s *Server) start(ctx context.Context, cfg Config, owner *owner) error {
	pgdata := filepath.Join(cfg.DataDir, "pgdata")
	if err := awaitNoServer(ctx, pgdata, cfg.orphanWait, s.log); err != nil {
		return err
	}
	bin, err := findBinaries(ctx, clusterMajor(pgdata), s.log)
	if err != nil {
		return err
	}
	if s.password, err = ensurePassword(cfg.DataDir, owner); err != nil {
		return err
	}
	if err := ensureCluster(ctx, bin, cfg, owner, s.log); err != nil {
		return err
	}
	if s.socket, err = makeSocketDir(cfg.DataDir, owner, s.log); err != nil {
		return err
	}
	if err := s.launch(ctx, bin, cfg, owner); err != nil {
		return err
	}
	if err := s.ensureDatabase(ctx); err != nil {
		return errors.Join(err, s.abandon(ctx))
	}
	s.log.Info("embedded PostgreSQL is running", "version", bin.version, "data_dir", cfg.DataDir, "pid", s.process.pid(), "socket_dir", s.socket.path)
	return nil
}

// launch starts the server process and waits until it answers. A port that the kernel picked may be taken by somebody else
// before the server binds it: then another one is tried.
func (s *Server) launch(ctx context.Context, bin binaries, cfg Config, owner *owner) error {
	const attempts = 5
	for attempt := 1; ; attempt++ {
		picked := false
		s.port = defaultPort
		if cfg.Listen != "" {
			var err error
			if s.host, s.port, picked, err = pickAddress(cfg.Listen); err != nil {
				return err
			}
		}
		p, err := startProcess(bin, s.arguments(cfg), cfg.DataDir, owner)
		if err != nil {
			return err
		}
		s.process = p
		err = s.awaitAnswer(ctx)
		if err == nil {
			return nil
		}
		var failed *StartError
		if picked && attempt < attempts && errors.As(err, &failed) && strings.Contains(failed.Log, "TCP/IP socket") {
			continue
		}
		return err
	}
}

// arguments are the server's command line: what must hold whatever postgresql.conf says.
func (s *Server) arguments(cfg Config) []string {
	settings := [][2]string{
		{"listen_addresses", s.host},
		{"port", strconv.Itoa(s.port)},
		{"unix_socket_directories", s.socket.path},
		{"unix_socket_permissions", "0700"},
		{"logging_collector", "off"},
		{"log_destination", "stderr"},
	}
	if cfg.Fast {
		settings = append(settings, [][2]string{
			{"fsync", "off"},
			{"synchronous_commit", "off"},
			{"full_page_writes", "off"},
			{"shared_buffers", "32MB"},
		}...)
	}
	args := []string{"-D", filepath.Join(cfg.DataDir, "pgdata")}
	for _, kv := range settings {
		args = append(args, "-c", kv[0]+"="+kv[1])
	}
	return args
}

// pickAddress splits listen and, for port 0, asks the kernel for a free port.
func pickAddress(listen string) (host string, port int, picked bool, err error) {
	host, portText, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, false, fmt.Errorf("listen address of embedded PostgreSQL %q: %w", listen, err)
	}
	if host != "localhost" {
		if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
			return "", 0, false, fmt.Errorf("embedded PostgreSQL listens on loopback addresses only, not on %q", listen)
		}
	}
	port, err = strconv.Atoi(portText)
	if err != nil || port < 0 || port > 65535 {
		return "", 0, false, fmt.Errorf("listen address of embedded PostgreSQL %q: port must be a number from 0 to 65535", listen)
	}
	if port != 0 {
		return host, port, false, nil
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return "", 0, false, fmt.Errorf("picking a port for embedded PostgreSQL: %w", err)
	}
	port = l.Addr().(*net.TCPAddr).Port
	return host, port, true, l.Close()
}

// awaitAnswer returns when the server accepts the superuser; with a *StartError when it ended instead. When it returns an
// error the server is stopped.
func (s *Server) awaitAnswer(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	pause := 10 * time.Millisecond
	for {
		conn, err := pgx.Connect(wait, s.url("postgres"))
		if err == nil {
			return conn.Close(wait)
		}
		var refused *pgconn.PgError
		if errors.As(err, &refused) && refused.Code != cannotConnectNow {
			return errors.Join(fmt.Errorf("connecting to embedded PostgreSQL as %s: %w", Superuser, err), s.abandon(ctx))
		}
		select {
		case <-s.process.done:
			return &StartError{Err: s.process.err, LogFile: s.process.logFile, Log: s.process.logTail()}
		case <-wait.Done():
			return errors.Join(fmt.Errorf("waiting for embedded PostgreSQL to answer (its log: %s): %w", s.process.logFile, err), s.abandon(ctx))
		case <-time.After(pause):
			pause = min(pause*2, 250*time.Millisecond)
		}
	}
}

// cannotConnectNow is what a server says while it starts, recovers or stops.
const cannotConnectNow = "57P03"

// abandon stops a server that is of no use, even if ctx, which bounded its start, has ended.
func (s *Server) abandon(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return s.process.stop(ctx)
}

// ensureDatabase creates the database unless it exists.
func (s *Server) ensureDatabase(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, s.url("postgres"))
	if err != nil {
		return fmt.Errorf("connecting to embedded PostgreSQL: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var exists bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", s.database).Scan(&exists); err != nil {
		return fmt.Errorf("looking for database %q: %w", s.database, err)
	}
	if exists {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{s.database}.Sanitize()); err != nil {
		return fmt.Errorf("creating database %q: %w", s.database, err)
	}
	return nil
}

// AdminURL is the superuser's connection URL over the Unix socket. It holds the password: don't log it.
func (s *Server) AdminURL() string { return s.url(s.database) }

func (s *Server) url(database string) string {
	return connectionURL(s.socket.path, strconv.Itoa(s.port), s.password, database)
}

// SocketDir is the directory of the Unix socket: the "host" of a libpq connection string.
func (s *Server) SocketDir() string { return s.socket.path }

// Host is the loopback address the server also listens on, or empty.
func (s *Server) Host() string { return s.host }

// Port is the port of the loopback listener; it also names the socket file.
func (s *Server) Port() int { return s.port }

// DataDir is the absolute path of the data directory.
func (s *Server) DataDir() string { return s.dataDir }

// PasswordFile is the file that holds the superuser's password.
func (s *Server) PasswordFile() string { return filepath.Join(s.dataDir, passwordFile) }

// Done is closed when the server process has ended, whether by Stop or by itself.
func (s *Server) Done() <-chan struct{} { return s.process.done }

// Stop shuts the server down ("fast": open transactions are rolled back, data is on disk when it returns) and gives the data
// directory free. If ctx ends first, the server is killed; the next start then recovers. Calling it again does nothing.
func (s *Server) Stop(ctx context.Context) error {
	err := s.process.stop(ctx)
	s.socket.remove()
	if s.lock != nil {
		err = errors.Join(err, s.lock.Close())
		s.lock = nil
	}
	return err
}

// StartError tells that the server process ended instead of answering.
type StartError struct {
	Err     error  // how the process ended
	LogFile string // where its whole log is
	Log     string // its last lines
}

// Error names the log file and quotes the server's last lines.
func (e *StartError) Error() string {
	return fmt.Sprintf("embedded PostgreSQL did not start (%v); the end of %s:\n%s", e.Err, e.LogFile, e.Log)
}

// Unwrap returns how the process ended.
func (e *StartError) Unwrap() error { return e.Err }
