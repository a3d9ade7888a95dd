package syncer

import (
	"net/url"

	"github.com/pghub/pghub/schema"
)

// label: a short list without timestamps or an order of change, so each poll
// reads the whole list, conditionally. Renaming or deleting a label does not
// touch the updated_at of its issues; schema makes the mirror's issues follow.
//
// https://docs.github.com/en/rest/issues/labels#list-labels-for-a-repository
var label = &collection{
	name:     "label",
	table:    schema.Label,
	path:     "labels",
	scan:     query(),
	priority: 1,
	key:      "name",
	single:   func(name string) string { return "labels/" + url.PathEscape(name) },
}
