package writers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

func (t issueTable) checkTexts(p *Planned, want *issueWant, now values) error {
	var err error
	if p.writes("title") || p.Op == Insert {
		if now.null("title") {
			return t.refuse(codeNotNull, "title", "an issue needs a title")
		}
		if want.title, err = now.text("title"); err != nil {
			return err
		}
		if strings.TrimSpace(want.title) == "" {
			return t.refuse(codeCheck, "title", "the title of an issue must not be empty")
		}
	}
	if p.writes("body") && !now.null("body") {
		body, err := now.text("body")
		if err != nil {
			return err
		}
		if n := utf8.RuneCountInString(body); n > maxIssueBody {
			return t.refuse(codeCheck, "body", "the body has %d characters; GitHub takes at most %d", n, maxIssueBody)
		}
		want.body = &body
	}
	return nil
}

func (t issueTable) checkState(p *Planned, want *issueWant, now, before values) error {
	old, err := before.text("state")
	if err != nil {
		return err
	}
	if p.Op == Insert {
		// GitHub creates issues open; only another state needs a request.
		old = "open"
	}
	want.state = old
	if p.writes("state") {
		if now.null("state") {
			return t.refuse(codeNotNull, "state", "the state of an issue is open or closed, not NULL")
		}
		if want.state, err = now.text("state"); err != nil {
			return err
		}
		if !slices.Contains(issueStates, want.state) {
			return t.refuse(codeCheck, "state", "the state of an issue is open or closed, not %q", want.state)
		}
		if want.state == old {
			p.drop("state")
		}
	}
	if !p.writes("state_reason") {
		return nil
	}
	if want.reason, err = now.text("state_reason"); err != nil {
		return err
	}
	allowed := openReasons
	if want.state == "closed" {
		allowed = closeReasons
	}
	switch {
	case want.reason != "" && !slices.Contains(allowed, want.reason):
		return t.refuse(codeCheck, "state_reason", "the state_reason of an issue that is %s can be %s, not %q",
			want.state, strings.Join(allowed, ", "), want.reason)
	case !p.writes("state"):
		r := t.refuse(codeCheck, "state_reason", "GitHub takes a state_reason only together with a change of state")
		r.Hint = "The issue is " + want.state + " already; reopen or close it in the same statement."
		if p.Op == Insert {
			r.Hint = "Insert the issue with state 'closed', or without a state_reason."
		}
		return r
	case want.reason == "":
		// NULL asks for nothing: GitHub gives a closed issue "completed".
		p.drop("state_reason")
	}
	return nil
}

func (t issueTable) checkSets(ctx context.Context, p *Planned, want *issueWant, now, before values) error {
	for _, set := range []struct {
		column string
		to     *[]string
	}{{"labels", &want.labels}, {"assignees", &want.assignees}} {
		if !p.writes(set.column) {
			continue
		}
		if now.null(set.column) {
			r := t.refuse(codeNotNull, set.column, "the %s of an issue are a list, not NULL", set.column)
			r.Hint = "'{}' removes all of them."
			return r
		}
		names, err := now.texts(set.column)
		if err != nil {
			return err
		}
		for _, name := range names {
			if strings.TrimSpace(name) == "" {
				return t.refuse(codeCheck, set.column, "the %s of an issue must not hold an empty name", set.column)
			}
		}
		*set.to = distinctNames(names)
		old, err := before.texts(set.column)
		if err != nil {
			return err
		}
		if sameNames(*set.to, old) {
			p.drop(set.column)
		}
	}
	if !p.writes("milestone_id") {
		return nil
	}
	id, err := now.integer("milestone_id")
	if err != nil || id == 0 {
		return err
	}
	repositoryID, number, err := t.w.lookup.Milestone(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		r := t.refuse(codeForeignKey, "milestone_id", "milestone %d is not in the mirror", id)
		r.Hint = "SELECT id, title FROM github.milestone lists those that are."
		return r
	case err != nil:
		return fmt.Errorf("looking up milestone %d: %w", id, err)
	case repositoryID != p.RepositoryID:
		return t.refuse(codeCheck, "milestone_id", "milestone %d belongs to another repository than the issue", id)
	}
	want.milestone = &number
	return nil
}

func (t issueTable) checkLock(p *Planned, want *issueWant, now, before values) error {
	var err error
	if want.wasLocked, err = before.boolean("locked"); err != nil {
		return err
	}
	want.locked = want.wasLocked
	if p.writes("locked") {
		if now.null("locked") {
			return t.refuse(codeNotNull, "locked", "locked is true or false, not NULL")
		}
		if want.locked, err = now.boolean("locked"); err != nil {
			return err
		}
		if want.locked == want.wasLocked {
			p.drop("locked")
		}
	}
	from := before
	if p.writes("active_lock_reason") {
		from = now
	}
	if want.lockReason, err = from.text("active_lock_reason"); err != nil {
		return err
	}
	if !p.writes("active_lock_reason") {
		return nil
	}
	switch {
	case want.lockReason == "" && !want.locked:
		p.drop("active_lock_reason") // goes with the lock
	case want.lockReason == "":
	case !slices.Contains(lockReasons, want.lockReason):
		return t.refuse(codeCheck, "active_lock_reason", "active_lock_reason can be %s, not %q", strings.Join(lockReasons, ", "), want.lockReason)
	case !want.locked:
		r := t.refuse(codeCheck, "active_lock_reason", "an issue that is not locked has no active_lock_reason")
		r.Hint = "Set locked = true in the same statement."
		return r
	}
	return nil
}
