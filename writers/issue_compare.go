package writers

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/pghub/pghub/schema"
)

// fits compares an issue with the fields of a PATCH.
func fits(row *schema.Row, body map[string]any) bool {
	text := func(column string) string { s, _ := row.Get(column).(string); return s }
	list := func(column string) []string { l, _ := row.Get(column).([]string); return l }
	for field, value := range body {
		same := false
		switch v := value.(type) {
		case string:
			same = sameText(text(field), v)
		case *string:
			same = v == nil && text(field) == "" || v != nil && sameText(text(field), *v)
		case []string:
			same = sameNames(list(field), v)
		case *int:
			same = sameMilestone(row, v)
		}
		if !same {
			return false
		}
	}
	return true
}

// dropped compares the answer with what GitHub leaves out silently when the
// token has no push access, and returns an error that says so.
func (t issueTable) dropped(p *Planned, want *issueWant, row *schema.Row, name, stored string) error {
	var lost []string
	compare := func(column string, wanted []string, exact bool) {
		if !p.writes(column) {
			return
		}
		have, _ := row.Get(column).([]string)
		if missing := missingNames(wanted, have); len(missing) > 0 {
			lost = append(lost, column+" without "+strings.Join(missing, ", "))
		} else if extra := missingNames(have, wanted); exact && len(extra) > 0 {
			lost = append(lost, column+" still with "+strings.Join(extra, ", "))
		}
	}
	// Rules of the repository may add labels and assignees to a new issue.
	compare("labels", want.labels, p.Op == Update)
	compare("assignees", want.assignees, p.Op == Update)
	if p.writes("milestone_id") && !sameMilestone(row, want.milestone) {
		lost = append(lost, "milestone_id unchanged")
	}
	if len(lost) == 0 {
		return nil
	}
	return &Refusal{
		SQLSTATE: codePrivilege,
		Message:  "GitHub left out a part of the change of " + name + " without saying so",
		Detail:   joinSentences("GitHub has: "+strings.Join(lost, "; "), strings.TrimSpace(stored)),
		Hint:     "Labels, assignees and milestone need push access to the repository, and an assignee must have access to it.",
	}
}

// sameMilestone compares by number, which the row has in its payload only.
func sameMilestone(row *schema.Row, number *int) bool {
	if number == nil {
		return row.Get("milestone_id") == nil
	}
	got, ok := milestoneNumber(row)
	return ok && got == *number
}

// sameIssue refuses an answer about another issue: the repository may have
// been renamed and its name taken by another one.
func (r *run) sameIssue(id int64) error {
	row := r.res.Row
	if row.ID() == id {
		return nil
	}
	r.nothingAccepted(nil) // that row is none of this change
	return &Refusal{
		SQLSTATE: codeStale,
		Message:  fmt.Sprintf("GitHub answered with issue id %d instead of %d", row.ID(), id),
		Detail:   fmt.Sprintf("The repository's name or the issue's number belongs to another one by now. GitHub changed %v.", row.Get("html_url")),
		Hint:     "Look at that issue, and wait for the next sync before you run the statement again.",
	}
}

// milestoneNumber reads the number of the milestone from the issue's payload;
// the row itself has only its id.
func milestoneNumber(row *schema.Row) (int, bool) {
	raw, _ := row.Get("payload").(json.RawMessage)
	var issue struct {
		Milestone *struct {
			Number int `json:"number"`
		} `json:"milestone"`
	}
	if json.Unmarshal(raw, &issue) != nil || issue.Milestone == nil {
		return 0, false
	}
	return issue.Milestone.Number, true
}
