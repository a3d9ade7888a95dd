package syncer

import (
	"context"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// eventsEvery is the time between two looks at the partitions of github.event.
const eventsEvery = time.Hour

// keepEvents has the partitions of github.event made ahead and dropped when
// they are old. It is part of upkeep: any process may do it, one at a time,
// and what locks forbid is tried again with the next upkeep. Without it events
// pile up in the default partition, and nothing else is lost; so a failure is
// logged and stops nothing.
func (s *Syncer) keepEvents(ctx context.Context) {
	if time.Now().Before(s.eventsDue) {
		return
	}
	rows, _ := s.pool.Query(ctx, `SELECT pghub.maintain_events()`) // its error comes with the rows
	done, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		if ctx.Err() == nil {
			s.log.Warn("cannot make or drop partitions of github.event", "err", err, "retry_in", s.tune.upkeep)
		}
		return
	}
	postponed := false
	for _, what := range done {
		s.log.Info("partitions of github.event", "done", what)
		postponed = postponed || strings.HasPrefix(what, "postponed")
	}
	if !postponed {
		s.eventsDue = time.Now().Add(eventsEvery)
	}
}
