package writers

import (
	"context"
	"errors"

	"github.com/pghub/pghub/internal/ghapi"
	"github.com/pghub/pghub/schema"
)

// deleteMutation is the only way to delete an issue; REST has none.
// https://docs.github.com/en/graphql/reference/mutations#deleteissue
const deleteMutation = `mutation($issueId: ID!) { deleteIssue(input: {issueId: $issueId}) { clientMutationId } }`

var errNoAnswer = errors.New("the answer names no result")

// delete removes the issue for good. It is never turned into closing it.
func (t issueTable) delete(ctx context.Context, r *run, p *Planned) error {
	want := p.want.(*issueWant)
	name := issueName(p.FullName, p.Number)
	at := place{p.RepositoryID, p.FullName, p.ID, p.Number}
	for attempt := 0; ; attempt++ {
		var out struct {
			DeleteIssue *struct{} `json:"deleteIssue"`
		}
		r.res.Requests++
		resp, err := t.w.api.GraphQL(ctx, deleteMutation, map[string]any{"issueId": want.nodeID}, &out, ghapi.Write)
		r.note(resp, err)
		if err == nil && out.DeleteIssue != nil {
			r.gone()
			r.res.StartedAt = resp.StartedAt
			return nil
		}
		lost := refuse("deleting "+name, err)
		if err == nil {
			lost = unreadable("deleting "+name, errNoAnswer)
		}
		switch ghapi.ClassOf(err) {
		case ghapi.ClassNotFound:
			// Deleted by somebody else, transferred, or hidden from this
			// token: only the first two make the row disappear.
			if err := t.fetch(ctx, r, at); err != nil || !r.res.Deleted {
				r.nothingAccepted(nil)
				return lost
			}
			return nil
		case ghapi.ClassPermission:
			refused := lost.because()
			refused.Message = "GitHub does not permit deleting " + name
			refused.Hint = "Deleting issues takes a repository admin or owner, in organisations also the setting \"Allow members to delete issues\"; " +
				"GitHub may refuse it to App installations. UPDATE ... SET state = 'closed' closes the issue instead."
			return refused
		case ghapi.ClassUnknown, ghapi.ClassNone:
		default:
			return lost
		}
		deleted, err := t.confirm(ctx, r, p, p.ID, p.Number, lost, func(*schema.Row) bool { return false })
		if deleted || err != nil {
			return err
		}
		if attempt > 0 || ctx.Err() != nil {
			return lost.because("The issue is still there")
		}
	}
}
