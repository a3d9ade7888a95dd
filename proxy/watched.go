package proxy

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/sqlparse"
)

// refreshInterval is how often the names of views over the mirrored tables are
// looked up again. A write through a view made since then is refused by the
// trigger until the next look.
const refreshInterval = 15 * time.Second

// watchList is the set of relations through which a mirrored table may be
// written.
type watchList struct {
	mu    sync.RWMutex
	oids  []uint32
	names []sqlparse.Name // a view may be renamed
}

// oidList joins the relations' oids by commas.
func (w *watchList) oidList() string {
	w.mu.RLock()
	defer w.mu.RUnlock()
	texts := make([]string, len(w.oids))
	for i, oid := range w.oids {
		texts[i] = strconv.FormatUint(uint64(oid), 10)
	}
	return strings.Join(texts, ",")
}

// refreshWatched reads the writable tables and the views built on them, at any
// depth, from the catalog.
func (p *Proxy) refreshWatched(ctx context.Context) error {
	rows, err := p.cfg.Pool.Query(ctx, `
		WITH RECURSIVE watched(oid) AS (
			SELECT tgrelid FROM pg_trigger WHERE tgname = 'pghub_write_through'
			UNION
			SELECT r.ev_class FROM watched w
			JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = w.oid AND d.classid = 'pg_rewrite'::regclass
			JOIN pg_rewrite r ON r.oid = d.objid
		)
		SELECT c.oid, n.nspname, c.relname FROM watched w JOIN pg_class c ON c.oid = w.oid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE c.relkind IN ('r', 'p', 'v') ORDER BY c.oid`)
	if err != nil {
		return fmt.Errorf("reading the names of the writable tables: %w", err)
	}
	var oids []uint32
	var names []sqlparse.Name
	var oid uint32
	var name sqlparse.Name
	if _, err := pgx.ForEachRow(rows, []any{&oid, &name.Schema, &name.Name}, func() error {
		oids, names = append(oids, oid), append(names, name)
		return nil
	}); err != nil {
		return fmt.Errorf("reading the names of the writable tables: %w", err)
	}
	p.watched.mu.Lock()
	same := slices.Equal(p.watched.oids, oids) && slices.Equal(p.watched.names, names)
	p.watched.oids, p.watched.names = oids, names
	p.watched.mu.Unlock()
	if !same {
		p.classifier.SetWatchedNames(names)
	}
	return nil
}

func (p *Proxy) watchLoop(ctx context.Context) {
	tick := time.NewTicker(refreshInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := p.refreshWatched(ctx); err != nil && ctx.Err() == nil {
				p.log.Warn("looking for views on the mirrored tables failed", "error", err)
			}
		}
	}
}
