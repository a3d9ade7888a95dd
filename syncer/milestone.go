package syncer

import "github.com/pghub/pghub/schema"

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
}
