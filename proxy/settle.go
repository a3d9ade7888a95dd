package proxy

import (
	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghub/pghub/internal/ledger"
)

// accepted is a change that GitHub has made and the client's transaction has
// not settled yet.
type accepted struct {
	entry int64
	name  string // for people: "issue 12 of acme/api (updated)"
}

// settle ends the account of what GitHub accepted in the transaction that has
// just ended, or of which a part may have been rolled back to a savepoint. It
// returns the warning the client gets, or nil.
func (s *session) settle(committed bool) []byte {
	if len(s.pending) == 0 {
		return nil
	}
	names := listNames(s.pending)
	if !committed && s.status != 'I' {
		// ROLLBACK TO SAVEPOINT: which rows it concerns is seen when the
		// transaction ends.
		s.partial = true
		return warning("changes that GitHub accepted since the savepoint are not rolled back there",
			"GitHub keeps what this transaction sent after the savepoint, of: "+names+". The mirror is brought to GitHub's state when the transaction ends.")
	}
	if committed && !s.partial {
		outcomes := make([]outcome, len(s.pending))
		for i, a := range s.pending {
			outcomes[i] = outcome{a.entry, ledger.Outcome{Status: ledger.StatusCommitted}}
		}
		if s.p.recordLater(outcomes) {
			s.pending = nil
			return nil
		} // else the repair loop closes them
	}
	s.leavePending()
	if committed {
		return nil
	}
	return warning("the transaction was rolled back, but GitHub keeps the changes it accepted",
		"GitHub keeps: "+names+". The mirror is brought to GitHub's state now.")
}

// leavePending leaves the transaction's entries, if any, to the repair loop.
func (s *session) leavePending() {
	if len(s.pending) == 0 {
		return
	}
	ids := make([]int64, len(s.pending))
	for i, a := range s.pending {
		ids[i] = a.entry
	}
	s.p.unmarkBusy(ids)
	s.pending, s.partial = nil, false
	s.p.wakeRepairs()
}

func warning(message, detail string) []byte {
	msg, err := (&pgproto3.NoticeResponse{
		Severity: "WARNING", SeverityUnlocalized: "WARNING", Code: "01000", Message: message, Detail: detail,
	}).Encode(nil)
	if err != nil {
		return nil
	}
	return msg
}
