package writers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
)

// SQLSTATEs that clients get. Source: PostgreSQL documentation, appendix A.
const (
	codeGenerated   = "428C9" // generated_always: the column is GitHub's
	codeNotNull     = "23502" // not_null_violation
	codeForeignKey  = "23503" // foreign_key_violation
	codeCheck       = "23514" // check_violation: refused content, by us or by GitHub (422)
	codeCharacter   = "22021" // character_not_in_repertoire
	codePrivilege   = "42501" // insufficient_privilege (401, 403)
	codeUndefined   = "42704" // undefined_object (404)
	codeState       = "55000" // object_not_in_prerequisite_state (410, moved)
	codeLimit       = "53400" // configuration_limit_exceeded: rate limit
	codeUnreachable = "08006" // connection_failure: GitHub is away, nothing was done
	codeUnknown     = "08007" // transaction_resolution_unknown
	codeCanceled    = "57014" // query_canceled
	codeStale       = "40001" // serialization_failure: the row is another one by now
	codeInternal    = "XX000"
	defaultNeeds    = "issues=write"
)

// Refusal is why a change was not made, or not wholly, in the words that the
// client of the proxy gets.
type Refusal struct {
	SQLSTATE string
	Message  string // one sentence
	Detail   string // GitHub's own words, and what was stored nevertheless
	Hint     string // the next step
	Err      error  // cause, if any; for logs
}

// Error is the message with its SQLSTATE and detail.
func (r *Refusal) Error() string {
	text := r.Message + " (SQLSTATE " + r.SQLSTATE + ")"
	if r.Detail != "" {
		text += ": " + r.Detail
	}
	return text
}

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Refuse turns any error of this package, of ghapi or of a context into a
// *Refusal; a Refusal in err's chain is returned as it is. It returns nil for
// nil.
func Refuse(err error) *Refusal {
	if err == nil {
		return nil
	}
	return refuse("the request", err)
}

// refuse is Refuse with the name of what was being done, such as "changing
// issue o/r#1".
func refuse(doing string, err error) *Refusal {
	if err == nil {
		return nil
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*ghapi.Error](err); ok {
		return refuseAnswer(doing, e)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return &Refusal{SQLSTATE: codeCanceled, Message: "canceled before GitHub was asked for " + doing, Err: err}
	}
	return &Refusal{SQLSTATE: codeInternal, Message: "the write to GitHub failed inside pghub", Detail: err.Error(), Err: err}
}

// refuseAnswer maps the classes of ghapi. That GitHub did not act is certain
// for all of them but ClassUnknown.
func refuseAnswer(doing string, e *ghapi.Error) *Refusal {
	r := &Refusal{Detail: words(e), Err: e}
	switch e.Class {
	case ghapi.ClassValidation:
		r.SQLSTATE = codeCheck
		r.Message = "GitHub refused " + doing + ": " + e.Message
		r.Hint = "Correct the value that GitHub names and run the statement again."
	case ghapi.ClassPermission:
		needs := e.AcceptedPermissions
		if needs == "" {
			needs = defaultNeeds
		}
		// Alternatives are separated by semicolons.
		needs = strings.ReplaceAll(needs, "; ", " or ")
		r.SQLSTATE = codePrivilege
		r.Message = fmt.Sprintf("GitHub does not permit %s: the token needs %s", doing, needs)
		r.Hint = fmt.Sprintf("Use a token with the permission %s on this repository, of a user who may write there.", needs)
	case ghapi.ClassUnauthorized:
		r.SQLSTATE = codePrivilege
		r.Message = "GitHub does not accept pghub's token"
		r.Hint = "The token is wrong, expired or revoked: start pghub with a valid one (GITHUB_TOKEN)."
	case ghapi.ClassNotFound:
		r.SQLSTATE = codeUndefined
		r.Message = "GitHub finds nothing for " + doing
		r.Hint = "It was deleted or moved, or the token may not see it (GitHub does not say which); the mirror follows at its next sync."
	case ghapi.ClassGone:
		r.SQLSTATE = codeState
		r.Message = "GitHub says that this is gone, for " + doing
		r.Hint = "The issue was deleted, or issues are switched off in the repository."
	case ghapi.ClassMoved:
		r.SQLSTATE = codeState
		r.Message = "GitHub says that this has moved, for " + doing
		r.Hint = "An issue that was transferred has a new id and number; use the new row once the mirror has it."
		if e.Location != "" {
			r.Detail = joinSentences(r.Detail, "New place: "+e.Location)
		}
	case ghapi.ClassLimited:
		r.SQLSTATE = codeLimit
		r.Message = "GitHub's rate limit is used up; not done: " + doing
		r.Hint = "Retry later."
		if !e.RetryAt.IsZero() {
			at := e.RetryAt.UTC()
			if cut := at.Truncate(time.Second); cut.Before(at) {
				at = cut.Add(time.Second)
			}
			r.Hint = "Retry after " + at.Format(time.RFC3339) + "."
		}
	case ghapi.ClassUnreachable:
		r.SQLSTATE = codeUnreachable
		r.Message = "GitHub cannot be reached; not done: " + doing
		r.Hint = "Nothing was changed at GitHub; try again when the connection is back."
	case ghapi.ClassServer:
		r.SQLSTATE = codeUnreachable
		r.Message = "GitHub has trouble answering; not done: " + doing
		r.Hint = "Try again; https://www.githubstatus.com/ tells about outages."
	case ghapi.ClassCanceled:
		r.SQLSTATE = codeCanceled
		r.Message = "canceled before GitHub was asked for " + doing
		r.Detail = ""
	default:
		r.SQLSTATE = codeUnknown
		r.Message = "it is not known whether GitHub did this: " + doing
		r.Hint = "Look at GitHub before you run the statement again; the mirror follows by itself."
	}
	return r
}

// words are what GitHub said: message, fields, and the id of the request.
func words(e *ghapi.Error) string {
	parts := []string{e.Message}
	for _, f := range e.Fields {
		text := f.String()
		if f.Resource != "" {
			text = f.Resource + "." + text
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, "; ")
	switch {
	case e.Status != 0:
		text = fmt.Sprintf("GitHub: %d %s", e.Status, text)
	case e.Err != nil:
		text += ": " + e.Err.Error()
	}
	if e.RequestID != "" {
		text += " (request " + e.RequestID + ")"
	}
	return text
}

// because adds to a refusal what happened around it.
func (r *Refusal) because(sentences ...string) *Refusal {
	out := *r
	out.Detail = joinSentences(append([]string{r.Detail}, sentences...)...)
	return &out
}

func joinSentences(sentences ...string) string {
	var out []string
	for _, s := range sentences {
		if s = strings.TrimSpace(s); s == "" {
			continue
		}
		if !strings.HasSuffix(s, ".") {
			s += "."
		}
		out = append(out, s)
	}
	return strings.Join(out, " ")
}

func readOnlyTable(name string) *Refusal {
	return &Refusal{
		SQLSTATE: codeState,
		Message:  fmt.Sprintf("table %q cannot be written through to GitHub", name),
		Hint:     "It is kept current by the syncer; make the change at GitHub.",
	}
}
