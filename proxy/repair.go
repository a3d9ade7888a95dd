package proxy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/internal/ledger"
	"github.com/pghub/pghub/schema"
	"github.com/pghub/pghub/writers"
)

const (
	// repairInterval is how often the ledger is searched for writes that GitHub
	// accepted and no transaction has kept.
	repairInterval = 500 * time.Millisecond
	// repairBatch is how many entries are claimed at once; each may take
	// several requests, and a claim must outlast them.
	repairBatch = 10
	// maxRepairWait bounds the growing pauses between attempts at one entry.
	maxRepairWait = 5 * time.Minute
	// lookAttempts is how often a create of unknown outcome is looked for
	// before it counts as not made: GitHub's lists may be seconds old.
	lookAttempts = 3
)

func (p *Proxy) wakeRepairs() {
	select {
	case p.repairs <- struct{}{}:
	default:
	}
}

// repairLoop brings the mirror to GitHub's state wherever the ledger shows
// that a write may have reached GitHub and its transaction did not keep it:
// after a ROLLBACK, a lost client, a failed COMMIT, a killed process.
func (p *Proxy) repairLoop(ctx context.Context) {
	tick := time.NewTicker(repairInterval)
	defer tick.Stop()
	for {
		n, err := p.repairSome(ctx)
		if err != nil && ctx.Err() == nil {
			p.log.Warn("repairing writes failed", "error", err)
		}
		if n == repairBatch && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-p.repairs:
		case <-tick.C:
		}
	}
}

// repairSome repairs up to repairBatch entries and returns how many it claimed.
func (p *Proxy) repairSome(ctx context.Context) (int, error) {
	entries, err := p.ledger.Claim(ctx, p.busyIDs(), repairBatch)
	if err != nil {
		return 0, err
	}
	for _, e := range entries {
		wait, err := p.repair(ctx, e)
		if err != nil {
			p.log.Warn("repairing a write failed", "entry", e.ID, "table", e.Table, "op", e.Op, "number", e.Number, "retry_in", wait, "error", err)
		}
		if wait > 0 {
			why := ""
			if err != nil {
				why = err.Error()
			}
			if err := p.ledger.Retry(context.WithoutCancel(ctx), e.ID, wait, why); err != nil {
				return len(entries), err
			}
		}
	}
	return len(entries), nil
}

// repair brings the row of one entry to GitHub's state and closes the entry. A
// positive wait means that it has to be tried again.
func (p *Proxy) repair(ctx context.Context, e ledger.Entry) (wait time.Duration, err error) {
	backoff := min(repairInterval<<min(e.Attempts, 10), maxRepairWait)
	var result writers.Result
	if e.Op == string(writers.Insert) && e.RowID == 0 {
		result, err = p.findCreated(ctx, e)
		if err != nil {
			return p.retryTime(err, backoff), err
		}
		if result.Row == nil && e.Attempts < lookAttempts {
			return time.Second, nil
		}
	} else {
		result, err = p.cfg.Writer.Fetch(ctx, e.Table, e.RepositoryID, e.RowID, e.Number)
		if err != nil {
			return p.retryTime(err, backoff), err
		}
	}
	deferred, err := p.store(ctx, e, result)
	if err != nil {
		return backoff, err
	}
	if deferred {
		return repairInterval, nil // a client holds the row
	}
	p.log.Info("a write was repaired", "entry", e.ID, "table", e.Table, "op", e.Op, "number", e.Number)
	return 0, nil
}

// findCreated looks for the row of a create whose outcome is not known. It
// returns none where several fit: an open entry would hold back every new row
// of the repository, and the sync brings them all.
func (p *Proxy) findCreated(ctx context.Context, e ledger.Entry) (writers.Result, error) {
	columns := map[string]json.RawMessage{}
	for _, name := range []string{"repository_id", "title", "body"} { // by which it is recognised; the rest may be refused by now
		if value, ok := e.Columns[name]; ok {
			columns[name] = value
		}
	}
	planned, err := p.cfg.Writer.Check(ctx, writers.Change{Table: e.Table, Op: writers.Insert, New: columns})
	if err != nil {
		return writers.Result{}, err
	}
	result, found, err := p.cfg.Writer.FindCreated(ctx, planned, e.IntentAt)
	var refusal *writers.Refusal
	if errors.As(err, &refusal) && refusal.SQLSTATE == "08007" || err == nil && !found {
		return writers.Result{}, nil
	}
	return result, err
}

// retryTime is when to try again after an error: when GitHub's limit allows.
func (p *Proxy) retryTime(err error, backoff time.Duration) time.Duration {
	var limited interface{ RetryTime() time.Time }
	if errors.As(err, &limited) {
		if wait := time.Until(limited.RetryTime()); wait > 0 {
			return wait
		}
	}
	return backoff
}

var errDeferred = errors.New("the row is locked by a client")

// store writes GitHub's state and closes the entry, in one transaction: the
// entry must be closed before the upsert looks at it, because an open create
// puts its row off.
func (p *Proxy) store(ctx context.Context, e ledger.Entry, result writers.Result) (deferred bool, err error) {
	ctx = schema.WithOrigin(ctx, schema.OriginRepair)
	table := schema.ByName(e.Table)
	if table == nil {
		return false, fmt.Errorf("the ledger names an unknown table %q", e.Table)
	}
	err = pgx.BeginFunc(ctx, p.cfg.Pool, func(tx pgx.Tx) error {
		o := ledger.Outcome{Status: ledger.StatusRepaired, Requests: result.Requests}
		if result.Row != nil {
			o.RowID = result.Row.ID()
			o.Number, _ = result.Row.Get("number").(int64)
		}
		if err := p.ledger.RecordTx(ctx, tx, e.ID, o); err != nil {
			return err
		}
		if result.Deleted {
			return schema.Delete(ctx, tx, table, []int64{e.RowID})
		}
		if result.Row == nil {
			return nil // never made
		}
		done, err := schema.Upsert(ctx, tx, append(result.Referenced, *result.Row), result.StartedAt)
		if err != nil {
			return err
		}
		for _, row := range done.Deferred {
			if row.Table == table {
				return errDeferred
			}
		}
		return nil
	})
	if errors.Is(err, errDeferred) || errors.Is(err, schema.ErrLocked) {
		return true, nil
	}
	return false, err
}
