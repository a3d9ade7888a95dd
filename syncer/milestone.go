package syncer

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// milestone: like label, a short list that each poll reads as a whole.
//
// https://docs.github.com/en/rest/issues/milestones#list-milestones
var milestone = &collection{
	name:     "milestone",
	table:    schema.Milestone,
	path:     "milestones",
	scan:     query("state", "all"),
	priority: 1,
	key:      "number",
	single:   func(number string) string { return "milestones/" + number },
	remove:   removeMilestone,
}

const dropMilestone = `
WITH free AS (
    SELECT id FROM github.issue WHERE milestone_id = $1 ORDER BY id FOR UPDATE SKIP LOCKED)
UPDATE github.issue i
   SET milestone_id = NULL,
       payload = jsonb_set(i.payload, '{milestone}', 'null'),
       synced_at = clock_timestamp()
  FROM free WHERE free.id = i.id`

// removeMilestone takes a milestone that GitHub deleted out of the mirror and
// off its issues, as GitHub does. While a client's transaction holds one of
// these issues the foreign key keeps the milestone; the next poll tries again.
func removeMilestone(ctx context.Context, tx pgx.Tx, _, id int64) (removal, error) {
	if _, err := tx.Exec(ctx, dropMilestone, id); err != nil {
		return removal{}, fmt.Errorf("taking milestone %d off its issues: %w", id, err)
	}
	var held bool
	if err := tx.QueryRow(ctx, `SELECT EXISTS (SELECT FROM github.issue WHERE milestone_id = $1)`, id).Scan(&held); err != nil {
		return removal{}, fmt.Errorf("looking for issues of milestone %d: %w", id, err)
	}
	if held {
		return removal{}, nil
	}
	if err := schema.Delete(ctx, tx, schema.Milestone, []int64{id}); err != nil {
		return removal{}, err
	}
	return removal{done: true}, nil
}
