package proxy

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ledger"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/writers"
)

// ledgerTimeout bounds a statement's own queries to the ledger.
const ledgerTimeout = 30 * time.Second

// outcome is something to be written to the ledger.
type outcome struct {
	entry int64
	ledger.Outcome
}

// record writes down what came of an entry. What must survive a crash of this
// process is committed before record returns: that a create was answered,
// because a create without a known id can only be looked for by its text.
// Everything else can wait: an update or delete that is still written down as
// an intent is repaired by reading the row.
//
// Rows of other tables that the answer brought along (a new author, say) are
// stored here, so that the client's transaction can refer to them.
func (s *session) record(ctx context.Context, op writers.Op, o outcome, result writers.Result) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), ledgerTimeout)
	defer cancel()
	news := s.p.stored.unknown(result.Referenced)
	switch {
	case len(news) > 0:
		if err := s.p.storeReferenced(ctx, news, result.StartedAt); err != nil {
			return err
		}
	case op != writers.Insert && s.p.recordLater([]outcome{o}):
		return nil
	}
	return s.p.ledger.Record(ctx, o.entry, o.Outcome)
}

func (p *Proxy) storeReferenced(ctx context.Context, rows []schema.Row, fetchedAt time.Time) error {
	var done schema.UpsertResult
	ctx = schema.WithOrigin(ctx, schema.OriginWrite)
	err := pgx.BeginFunc(ctx, p.cfg.Pool, func(tx pgx.Tx) (err error) {
		done, err = schema.Upsert(ctx, tx, rows, fetchedAt)
		return err
	})
	if err == nil && len(done.Deferred) == 0 {
		p.stored.add(rows)
	}
	return err
}

// recordLater hands outcomes to recordLoop; it reports false when that is too
// far behind.
func (p *Proxy) recordLater(outcomes []outcome) bool {
	select {
	case p.outcomes <- outcomes:
		return true
	default:
		return false
	}
}

// recordLoop writes outcomes to the ledger in the order in which they came,
// many at a time. It ends when the channel is closed and empty. What cannot be
// written stays open, for the repair loop.
func (p *Proxy) recordLoop() {
	for outcomes := range p.outcomes {
		for more := true; more && len(outcomes) < 1000; {
			select {
			case next, ok := <-p.outcomes:
				outcomes, more = append(outcomes, next...), ok
			default:
				more = false
			}
		}
		ids := make([]int64, len(outcomes))
		all := make([]ledger.Outcome, len(outcomes))
		var closed []int64
		for i, o := range outcomes {
			ids[i], all[i] = o.entry, o.Outcome
			if o.Status == ledger.StatusCommitted {
				closed = append(closed, o.entry)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), ledgerTimeout)
		if err := p.ledger.RecordAll(ctx, ids, all); err != nil {
			p.log.Warn("writing to the ledger failed; the repair loop does it", "error", err)
		}
		cancel()
		p.unmarkBusy(closed)
	}
}
