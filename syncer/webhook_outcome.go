package syncer

import (
	"fmt"
	"strings"

	"github.com/pghub/pghub/schema"
)

// Outcome says what became of a webhook event: ignored with a reason, or applied
// to rows.
type Outcome struct {
	Event, Action string
	// RepositoryID is 0 for events outside repositories.
	RepositoryID int64
	// Ignored is why the event changes nothing, as one sentence; empty when it
	// was applied.
	Ignored string
	// Rows are the rows that the event is about, not those it merely names
	// (accounts, an issue's labels).
	Rows []OutcomeRow
	// Changed counts the rows that were stored, the ones merely named included.
	// 0 when all was known already or the event was older than the mirror.
	Changed int64
	// Queued are the jobs that complete it, such as "refetch of issue 5".
	Queued []string
}

// OutcomeRow is one row that an event is about.
type OutcomeRow struct {
	// Table is the name in schema github, ID the REST id.
	Table  string
	ID     int64
	Effect Effect
	// Why explains EffectQueued and EffectMarked.
	Why string
}

// Effect is what an event did to a row.
type Effect string

// The effects.
const (
	// EffectMerged: the mirror has this state of the row, or had a newer one.
	EffectMerged Effect = "merged"
	// EffectQueued: it could not be decided or stored now; a job reads it again.
	EffectQueued Effect = "queued"
	// EffectDeleted: the row is gone and left a tombstone.
	EffectDeleted Effect = "deleted"
	// EffectMarked: the row stays and is marked as no longer visible to us.
	EffectMarked Effect = "marked"
)

// Applied tells whether the event was not ignored.
func (o Outcome) Applied() bool { return o.Ignored == "" }

// String is one line for logs and the list of deliveries.
func (o Outcome) String() string {
	name := strings.TrimSuffix(o.Event+"."+o.Action, ".")
	if !o.Applied() {
		return name + " ignored: " + o.Ignored
	}
	var parts []string
	for _, r := range o.Rows {
		parts = append(parts, fmt.Sprintf("%s %d %s", r.Table, r.ID, r.Effect))
	}
	return fmt.Sprintf("%s applied: %s", name, strings.Join(append(parts, o.Queued...), ", "))
}

func (o *Outcome) row(t *schema.Table, id int64, effect Effect, why string) {
	o.Rows = append(o.Rows, OutcomeRow{Table: t.Name, ID: id, Effect: effect, Why: why})
}

func (o *Outcome) queued(format string, args ...any) {
	job := fmt.Sprintf(format, args...)
	for _, known := range o.Queued {
		if known == job {
			return
		}
	}
	o.Queued = append(o.Queued, job)
}
