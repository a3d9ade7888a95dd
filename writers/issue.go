package writers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pghub/pghub/schema"
)

// maxIssueBody is GitHub's bound for the text of an issue, in characters.
const maxIssueBody = 65_536

// Values that GitHub documents for issues.
// https://docs.github.com/en/rest/issues/issues?apiVersion=2022-11-28#update-an-issue
var (
	issueStates  = []string{"open", "closed"}
	closeReasons = []string{"completed", "not_planned", "duplicate"}
	openReasons  = []string{"reopened"}
	lockReasons  = []string{"off-topic", "too heated", "resolved", "spam"}
)

// issueTable writes issues. Create: POST, then PATCH for a closed state and
// PUT lock for a lock, which POST does not take. Update: one PATCH with the
// changed fields only, and PUT or DELETE lock for the lock. Delete: GraphQL.
type issueTable struct{ w *Writers }

// issueWant is what a change asks for; only the columns in Planned.Columns
// count.
type issueWant struct {
	title      string
	body       *string
	state      string
	reason     string // state_reason; "" = GitHub's choice
	labels     []string
	assignees  []string
	milestone  *int // number; nil = none
	locked     bool
	lockReason string
	nodeID     string // for deletes
	wasLocked  bool
}

func (issueTable) refuse(code, column, format string, args ...any) *Refusal {
	r := &Refusal{SQLSTATE: code, Message: fmt.Sprintf(format, args...)}
	if column != "" {
		r.Detail = "Column: issue." + column + "."
	}
	return r
}

func (t issueTable) check(ctx context.Context, p *Planned) error {
	var err error
	now, before := values(p.New), values(p.Old)
	from := before
	if p.Op == Insert {
		from, before = now, nil
	}
	if p.RepositoryID, err = from.integer("repository_id"); err != nil {
		return err
	}
	if p.RepositoryID == 0 {
		r := t.refuse(codeNotNull, "repository_id", "an issue needs a repository_id")
		r.Hint = "SELECT id, full_name FROM github.repository lists them."
		return r
	}
	want := &issueWant{}
	p.want = want
	switch p.Op {
	case Insert:
		err = t.checkColumns(p, now, nil)
	case Update, Delete:
		if p.ID, err = before.integer("id"); err != nil {
			return err
		}
		if p.Number, err = before.integer("number"); err != nil {
			return err
		}
		if p.ID == 0 || p.Number == 0 {
			return fmt.Errorf("the planned issue has no id or number")
		}
		if want.nodeID, err = before.text("node_id"); err != nil {
			return err
		}
		if p.Op == Update {
			err = t.checkColumns(p, now, before)
		}
	default:
		err = fmt.Errorf("unknown operation %q", p.Op)
	}
	if err != nil {
		return err
	}
	if p.FullName, err = t.w.repository(ctx, p.RepositoryID); err != nil {
		return err
	}
	if p.Op == Delete {
		return nil
	}
	if err := t.checkTexts(p, want, now); err != nil {
		return err
	}
	if err := t.checkState(p, want, now, before); err != nil {
		return err
	}
	if err := t.checkSets(ctx, p, want, now, before); err != nil {
		return err
	}
	if err := t.checkLock(p, want, now, before); err != nil {
		return err
	}
	p.NoOp = p.Op == Update && len(p.Columns) == 0
	return nil
}

// checkColumns finds the columns that change and refuses those that only
// GitHub sets. An insert changes what is not NULL.
func (t issueTable) checkColumns(p *Planned, now, before values) error {
	var forbidden []string
	for column := range now {
		if p.Op == Insert && (now.null(column) || column == "repository_id") {
			continue
		}
		if p.Op == Update && sameJSON(now[column], before[column]) {
			continue
		}
		if c := schema.Issue.Column(column); c != nil && c.Writable {
			p.Columns = append(p.Columns, column)
		} else {
			forbidden = append(forbidden, column)
		}
	}
	if len(forbidden) > 0 {
		slices.Sort(forbidden)
		r := t.refuse(codeGenerated, "", "column %q of table \"issue\" is set by GitHub and cannot be written", forbidden[0])
		if len(forbidden) > 1 {
			r.Detail = "The statement also writes: " + strings.Join(forbidden[1:], ", ") + "."
		}
		r.Hint = "Columns that can be written: " + strings.Join(schema.Issue.Writable(), ", ") + "."
		if forbidden[0] == "repository_id" {
			r.Hint = "Transfer the issue at GitHub; it gets a new id and number there."
		}
		return r
	}
	slices.SortFunc(p.Columns, func(a, b string) int { return schema.Issue.Position(a) - schema.Issue.Position(b) })
	return nil
}
