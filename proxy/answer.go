package proxy

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"github.com/pghub/pghub/writers"
)

// answerSettings builds the queries that hand GitHub's answers to the trigger,
// one for each change.
func (s *session) answerSettings(changes []change, answers []writers.Result, xid string) (queries []string, err error) {
	token := nonce()
	settings := []string{
		set("pghub.mode", s.p.signer.applyMode(token, s.pid(), xid)),
		set("pghub.inserted", "0"), set("pghub.applied", "0"),
	}
	ids := map[string]string{}
	// Inserts take their answers by order, so they come first.
	ordinal := 0
	add := func(i int) error {
		c := changes[i]
		a := answer{Table: c.Table, Op: c.Op, ID: c.id, Old: c.Digest}
		if row := answers[i].Row; row != nil && c.Op != "delete" {
			if a.Row, err = row.JSON(); err != nil {
				return err
			}
		}
		body, err := json.Marshal(a)
		if err != nil {
			return err
		}
		if c.Op != "insert" {
			ids[strconv.FormatInt(c.id, 10)] = strconv.Itoa(ordinal)
		}
		settings = append(settings, set("pghub.answer_"+strconv.Itoa(ordinal), s.p.signer.answer(token, ordinal, body)))
		ordinal++
		return nil
	}
	for _, inserts := range []bool{true, false} {
		for i, c := range changes {
			if (c.Op == "insert") == inserts {
				if err := add(i); err != nil {
					return nil, err
				}
			}
		}
	}
	index, err := json.Marshal(ids)
	if err != nil {
		return nil, err
	}
	settings = append(settings, set("pghub.ids", string(index)))
	for chunk := range slices.Chunk(settings, settingsPerQuery) {
		queries = append(queries, "SELECT "+strings.Join(chunk, ", "))
	}
	return queries, nil
}

// set is an expression that sets a setting for the transaction without
// returning its value. All values are plain ASCII without quotes or backslashes.
func set(name, value string) string {
	return "pg_catalog.length(pg_catalog.set_config('" + name + "', '" + value + "', true))"
}

// pid is the server process of the session, from its BackendKeyData.
func (s *session) pid() uint32 {
	if len(s.key) < 4 {
		return 0
	}
	return uint32(s.key[0])<<24 | uint32(s.key[1])<<16 | uint32(s.key[2])<<8 | uint32(s.key[3])
}
