package syncer

import (
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/pghub/pghub/internal/ghapi"
)

// DefaultPollInterval is the time between two polls of a repository when
// Config.PollInterval is zero.
const DefaultPollInterval = time.Minute

// Config says what to keep current, and with what.
type Config struct {
	// Pool connects as the role that owns the mirror; schema.Connect makes
	// one. It needs about ten connections and must outlive Run.
	Pool *pgxpool.Pool
	// API reaches GitHub. It is shared with the writers, so that both live
	// within one budget.
	API *ghapi.Client
	// Repos names repositories as owner/name. Empty: every repository that
	// the credential can see, those that appear later included.
	Repos []string
	// PollInterval is the time between two polls of one repository. Zero:
	// DefaultPollInterval.
	PollInterval time.Duration
	// DeliveryRetention is how long processed and ignored webhook deliveries
	// are kept. Zero: DefaultDeliveryRetention.
	DeliveryRetention time.Duration
	// Logger receives what a person running pghub should know. Nil:
	// slog.Default().
	Logger *slog.Logger
	// Progress is told about each committed page. Nil: nobody is told.
	Progress ProgressSink
}

// tuning holds the times that only tests set differently.
type tuning struct {
	// overlap is how far a poll reaches back behind the newest known change:
	// GitHub's lists may show a change late, and updated_at has whole seconds.
	overlap time.Duration
	// settle is how long after an object was last seen a missing object may
	// be GitHub's stale read rather than a deletion.
	settle time.Duration
	// slice is how long a backfill job works before it goes back into the
	// queue, so that many repositories advance side by side.
	slice time.Duration
	// discover is the time between two looks for new repositories.
	discover time.Duration
	// upkeep is the time between two looks for lost jobs.
	upkeep time.Duration
	// redeliver is the pause after a delivery's first failure; it doubles.
	redeliver time.Duration
	// testOnly switches River's start-up jitter off.
	testOnly bool
}

func defaultTuning() tuning {
	return tuning{
		overlap:   2 * time.Minute,
		settle:    10 * time.Second,
		slice:     time.Minute,
		discover:  5 * time.Minute,
		upkeep:    15 * time.Second,
		redeliver: time.Second,
	}
}

var repositoryName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]*/[A-Za-z0-9._-]+$`)

// checked returns cfg with its defaults, or says which setting is unusable.
func (cfg Config) checked() (Config, error) {
	if cfg.Pool == nil {
		return cfg, errors.New("the syncer needs a database pool")
	}
	if cfg.API == nil {
		return cfg, errors.New("the syncer needs a GitHub client")
	}
	names := []string{} // not nil, which is NULL to Postgres and would name something unknown
	seen := map[string]bool{}
	for _, name := range cfg.Repos {
		name = strings.TrimSpace(name)
		if _, repo, _ := strings.Cut(name, "/"); !repositoryName.MatchString(name) || repo == "." || repo == ".." {
			return cfg, fmt.Errorf("the repository %q is not of the form owner/name", name)
		}
		if key := strings.ToLower(name); !seen[key] {
			seen[key] = true
			names = append(names, name)
		}
	}
	cfg.Repos = names
	if cfg.PollInterval < 0 {
		return cfg, fmt.Errorf("the poll interval %s is negative", cfg.PollInterval)
	}
	if cfg.PollInterval == 0 {
		cfg.PollInterval = DefaultPollInterval
	}
	if cfg.DeliveryRetention < 0 {
		return cfg, fmt.Errorf("the retention of deliveries %s is negative", cfg.DeliveryRetention)
	}
	if cfg.DeliveryRetention == 0 {
		cfg.DeliveryRetention = DefaultDeliveryRetention
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.Progress == nil {
		cfg.Progress = silent{}
	}
	return cfg, nil
}
