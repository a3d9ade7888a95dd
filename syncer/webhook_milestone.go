package syncer

import (
	"context"

	"github.com/pghub/pghub/schema"
)

// applyMilestone: created, edited, opened, closed tell the milestone as it is.
//
// https://docs.github.com/en/webhooks/webhook-events-and-payloads#milestone
func applyMilestone(ctx context.Context, w *webhook) error {
	if other, err := w.elsewhere(ctx); other || err != nil {
		return err
	}
	return w.listed(ctx, schema.Milestone, part{schema.Milestone, w.Milestone})
}
