package syncer

import (
	"context"

	"github.com/pghub/pghub/schema"
)

// applyIssueComment: the event also holds the comment's issue as it is by now.
// For a conversation comment of a pull request that object is no issue and stays
// out; the comment itself is mirrored, as it is by polls, which would never
// notice that it was deleted.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#issue_comment
func applyIssueComment(ctx context.Context, w *webhook) error {
	if other, err := w.elsewhere(ctx); other || err != nil {
		return err
	}
	id, err := idOf(schema.IssueComment, w.Comment)
	if err != nil {
		return err
	}
	at := w.issue()
	if w.Action == "deleted" {
		done, err := w.remove(ctx, schema.IssueComment, id)
		if err != nil {
			return err
		}
		if !done {
			if err := w.refetch(ctx, refetchArgs{RepositoryID: w.Repository.ID, Number: at.Number, CommentID: id}); err != nil {
				return err
			}
		}
	} else if gone, err := w.buried(ctx, schema.IssueComment, id); err != nil || gone {
		if err == nil {
			err = w.ignore("comment %d was deleted", id)
		}
		return err
	}
	gone, err := w.buried(ctx, schema.Issue, at.ID)
	if err != nil {
		return err
	}
	var parts []part
	if at.ID != 0 && !gone && !isPullRequest(w.Issue) {
		parts = append(parts, part{schema.Issue, w.Issue})
	}
	if w.Action != "deleted" {
		if gone {
			return w.ignore("issue %d of comment %d was deleted or transferred", at.ID, id)
		}
		parts = append(parts, part{schema.IssueComment, w.Comment})
	}
	return w.merge(ctx, parts...)
}
