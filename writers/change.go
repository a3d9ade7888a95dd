package writers

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/pghub/pghub/schema"
)

// Op is what a statement does to a row.
type Op string

// The operations.
const (
	Insert Op = "insert"
	Update Op = "update"
	Delete Op = "delete"
)

// Change is one row change as the trigger reported it: values are the jsonb
// form of the columns. Old is empty for inserts, New for deletes. New may hold
// the whole row or only what changed.
type Change struct {
	Table string                     `json:"table"`
	Op    Op                         `json:"op"`
	Old   map[string]json.RawMessage `json:"old"`
	New   map[string]json.RawMessage `json:"new"`
}

// Planned is a change that passed all checks that need no request.
type Planned struct {
	Change
	// Columns are those that GitHub will be told, in table order; none for
	// deletes.
	Columns []string
	// NoOp: the change makes no difference to GitHub (the same labels in
	// another order, say). Apply sends nothing and returns an empty Result.
	NoOp bool
	// RepositoryID, FullName, ID and Number say where; ID and Number are 0 for
	// inserts.
	RepositoryID int64
	FullName     string
	ID, Number   int64
	// NotIDs are rows that FindCreated must not take for the one created:
	// those that other writes are known to have created.
	NotIDs []int64

	want any // the table's own form of what is wanted
}

// Values returns the planned columns with their new values, for the ledger;
// for an insert also repository_id.
func (p *Planned) Values() map[string]json.RawMessage {
	values := make(map[string]json.RawMessage, len(p.Columns)+1)
	for _, name := range p.Columns {
		values[name] = p.New[name]
	}
	if p.Op == Insert {
		values["repository_id"] = p.New["repository_id"]
	}
	return values
}

// Result tells what GitHub holds after the requests of one change. A Row
// together with an error means that GitHub accepted a part; Requests and
// RequestIDs are filled in any case.
type Result struct {
	// Row is GitHub's row; nil when it is not known or was deleted.
	Row *schema.Row
	// Raw is the object that Row was decoded from.
	Raw json.RawMessage
	// Referenced are rows of other tables that came with it, in foreign key
	// order.
	Referenced []schema.Row
	// Deleted: GitHub does not have the row any more.
	Deleted bool
	// RequestIDs are GitHub's ids of the requests, Requests how many were
	// tried.
	RequestIDs []string
	Requests   int
	// StartedAt is when the request that brought Raw was sent.
	StartedAt time.Time
}

// writes tells whether the plan sends a column.
func (p *Planned) writes(column string) bool { return slices.Contains(p.Columns, column) }

// drop takes a column out whose new value makes no difference to GitHub.
func (p *Planned) drop(column string) {
	p.Columns = slices.DeleteFunc(p.Columns, func(c string) bool { return c == column })
}
