package proxy

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/pghub/pghub/internal/ledger"
	"github.com/pghub/pghub/sqlparse"
	"github.com/pghub/pghub/writers"
)

func (s *session) intent(ctx context.Context, st sqlparse.Statement, tx transaction, entries []ledger.Change) ([]int64, error) {
	ctx, cancel := context.WithTimeout(ctx, ledgerTimeout)
	defer cancel()
	return s.p.ledger.Intent(ctx, ledger.Statement{
		Role: tx.role, Application: tx.application, Kind: strings.ToLower(st.Kind.String()), PID: tx.pid, XID: tx.xid, Changes: entries,
	})
}

// ask makes the changes on GitHub, one after the other, and stops at the first
// that fails. It returns what GitHub has accepted, and the error for the client.
func (s *session) ask(ctx context.Context, sent []int, planned []*writers.Planned, answers []writers.Result, entries []int64) (done []accepted, r *refused) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s.mu.Lock()
	s.cancelAsk = cancel
	if s.ending {
		cancel()
	}
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.cancelAsk = nil
		s.mu.Unlock()
	}()
	s.flush()

	for n, i := range sent {
		p := planned[i]
		var result writers.Result
		err := ctx.Err()
		if err == nil {
			result, err = s.p.cfg.Writer.Apply(ctx, p)
		}
		o, refused := s.judge(ctx, p, result, err, n, len(sent), done)
		if o.Status == ledger.StatusAnswered || o.Status == ledger.StatusUnknown {
			done = append(done, accepted{entry: entries[n], name: describe(p, result)})
		}
		if err := s.record(ctx, p.Op, outcome{entries[n], o}, result); err != nil {
			s.p.log.Error("GitHub's answer could not be recorded", "entry", entries[n], "error", err)
		}
		if refused != nil {
			for _, entry := range entries[n+1:] {
				if err := s.p.ledger.Record(context.WithoutCancel(ctx), entry, ledger.Outcome{Status: ledger.StatusSkipped}); err != nil {
					s.p.log.Error("a skipped write could not be recorded", "entry", entry, "error", err)
				}
			}
			return done, refused
		}
		answers[i] = result
	}
	return done, nil
}

// judge turns what a writer returned into the ledger's outcome and the
// client's error, if any.
func (s *session) judge(ctx context.Context, p *writers.Planned, result writers.Result, err error, n, total int, done []accepted) (ledger.Outcome, *refused) {
	o := ledger.Outcome{Status: ledger.StatusAnswered, Requests: result.Requests}
	if len(result.RequestIDs) > 0 {
		o.RequestID = result.RequestIDs[len(result.RequestIDs)-1]
	}
	if result.Row != nil {
		o.RowID = result.Row.ID()
		o.Number, _ = result.Row.Get("number").(int64)
		o.UpdatedAt, _ = result.Row.Get("updated_at").(time.Time)
	}
	if err == nil {
		return o, nil
	}
	r := asRefused(err)
	if ctx.Err() != nil && (result.Row == nil && !result.Deleted) && r.SQLSTATE != "08007" {
		r = refusal("57014", "canceling statement due to user request")
	}
	switch {
	case result.Row != nil || result.Deleted: // a part was accepted
	case r.SQLSTATE == "08007":
		o.Status = ledger.StatusUnknown
	default:
		o.Status = ledger.StatusRefused
	}
	o.SQLSTATE, o.Message, o.Detail = r.SQLSTATE, r.Message, r.Detail
	if total > 1 {
		sofar := fmt.Sprintf("This was row %d of %d.", n+1, total)
		if len(done) > 0 {
			sofar += " GitHub has accepted and keeps: " + listNames(done) + "."
		} else {
			sofar += " GitHub has accepted no row before it."
		}
		r.Detail = strings.TrimSpace(r.Detail + " " + sofar)
	}
	return o, r
}

func describe(p *writers.Planned, result writers.Result) string {
	number := p.Number
	if result.Row != nil {
		if n, ok := result.Row.Get("number").(int64); ok {
			number = n
		}
	}
	verb := map[writers.Op]string{"insert": "created", "update": "updated", "delete": "deleted"}[p.Op]
	if number == 0 {
		return fmt.Sprintf("%s, number not known (%s)", p.Table, verb)
	}
	if p.FullName != "" {
		return fmt.Sprintf("%s %s#%d (%s)", p.Table, p.FullName, number, verb)
	}
	return fmt.Sprintf("%s #%d (%s)", p.Table, number, verb)
}

// listNames names at most ten changes.
func listNames(changes []accepted) string {
	const most = 10
	var names []string
	for _, a := range changes[:min(len(changes), most)] {
		names = append(names, a.name)
	}
	text := strings.Join(names, ", ")
	if more := len(changes) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
