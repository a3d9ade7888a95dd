package proxy

import (
	"bytes"
	"context"
	"encoding/binary"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/pghub/pghub/sqlparse"
)

// planPortal is the portal in which a statement is planned; the client's own
// stays untouched for the second run.
const planPortal = "pghub_plan"

// statement is a prepared statement that may write a mirrored table.
type statement struct {
	name  string
	parse []byte // the client's Parse message
	st    sqlparse.Statement
}

// portal is a portal of such a statement.
type portal struct {
	name string
	stmt *statement
	bind []byte // the client's Bind message, for the plan
	done bool   // it has run: another Execute only fetches more rows
}

// cut splits the first two zero-terminated strings off a message body.
func cut(body []byte) (first, second string, rest []byte, ok bool) {
	a, rest, ok := bytes.Cut(body, []byte{0})
	if !ok {
		return "", "", nil, false
	}
	b, rest, ok := bytes.Cut(rest, []byte{0})
	return string(a), string(b), rest, ok
}

// noteParse remembers a prepared statement if it may write a mirrored table.
func (s *session) noteParse(msg []byte) {
	name, rest, ok := bytes.Cut(msg[5:], []byte{0})
	text, _, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 {
		return
	}
	delete(s.statements, string(name))
	if !s.p.classifier.MayWrite(text) {
		return
	}
	script, err := s.classify(text)
	if err != nil || len(script.Statements) != 1 || !intercepts(script.Statements[0]) {
		return
	}
	s.statements[string(name)] = &statement{name: string(name), parse: bytes.Clone(msg), st: script.Statements[0]}
}

func (s *session) noteBind(msg []byte) {
	name, stmt, _, ok := cut(msg[5:])
	if !ok {
		return
	}
	if st := s.statements[stmt]; st != nil {
		s.portals[name] = &portal{name: name, stmt: st, bind: bytes.Clone(msg)}
	} else {
		delete(s.portals, name)
	}
}

func (s *session) noteClose(msg []byte) {
	if len(msg) < 6 {
		return
	}
	name := string(bytes.TrimSuffix(msg[6:], []byte{0}))
	switch msg[5] {
	case 'S':
		delete(s.statements, name)
	case 'P':
		delete(s.portals, name)
	}
}

func (s *session) inspectExecute(msg []byte) func(context.Context) error {
	name, _, _ := bytes.Cut(msg[5:], []byte{0})
	target := s.portals[string(name)]
	if target == nil || target.done {
		return nil
	}
	execute := bytes.Clone(msg)
	return func(ctx context.Context) error {
		s.lastExecute = 'E'
		ok, err := s.drainBefore()
		if err != nil {
			return err
		}
		s.extended = true
		if !ok || s.status == 'E' {
			if !s.toServer(execute) { // the server drops or refuses it
				return errServerGone
			}
			return nil
		}
		target.done = true
		lane := &extendedLane{s: s, portal: target, execute: execute}
		lane.begin = s.status == 'I'
		return s.writeThrough(ctx, lane, target.stmt.st)
	}
}

// syncHiddenBlock handles a Sync that ends a segment in which we opened a
// transaction block: the block stands for the implicit transaction that ends
// there.
func (s *session) syncHiddenBlock(context.Context) error {
	s.hiddenBlock = false
	clear(s.portals)
	s.extended = true
	ok, err := s.drainBefore()
	if err != nil {
		return err
	}
	s.extended = false
	s.sent++
	if ok && s.status == 'T' && s.ownBlock {
		if err := s.send(hiddenExtended("COMMIT")...); err != nil {
			return err
		}
		if err := s.send(&pgproto3.Flush{}); err != nil {
			return err
		}
		var r reply
		if err := s.readExtended(&r); err != nil {
			return err
		}
		if r.err != nil {
			s.tellError(r.err, 0)
		} else if r.tag == "COMMIT" {
			s.settle(true)
		}
	}
	if err := s.send(&pgproto3.Sync{}); err != nil {
		return err
	}
	for {
		typ, size, err := s.next()
		if err != nil {
			return err
		}
		if typ != 'Z' {
			if err := s.relay(typ, size); err != nil {
				return err
			}
			continue
		}
		msg, err := s.take(size)
		if err != nil {
			return err
		}
		s.status = msg[5]
		break
	}
	if s.status == 'E' && s.ownBlock {
		if _, err := s.hiddenQueries("ROLLBACK"); err != nil {
			return err
		}
	}
	s.ownBlock = false
	s.ready++
	if s.status == 'I' && len(s.pending) > 0 {
		s.out = append(s.out, s.settle(false)...)
	}
	s.failed, s.ended = false, false
	s.tell(&pgproto3.ReadyForQuery{TxStatus: s.status})
	return nil
}

// extendedLane is the way of an intercepted Execute.
type extendedLane struct {
	s       *session
	portal  *portal
	execute []byte
	begin   bool
}

func (l *extendedLane) queries(qs ...string) ([]reply, error) {
	var msgs []pgproto3.FrontendMessage
	for _, q := range qs {
		msgs = append(msgs, hiddenExtended(q)...)
	}
	if err := l.s.send(append(msgs, &pgproto3.Flush{})...); err != nil {
		return nil, err
	}
	replies := make([]reply, len(qs))
	for i := range replies {
		if err := l.s.readExtended(&replies[i]); err != nil {
			return nil, err
		}
		if replies[i].err != nil {
			return replies[:i+1], nil
		}
	}
	return replies, nil
}

func (l *extendedLane) plan(setup string, rows *plannedRows) (failed bool, err error) {
	s := l.s
	hidden := []string{"SAVEPOINT " + planSavepoint, setup}
	if l.begin {
		hidden = append([]string{"BEGIN"}, hidden...)
		l.begin, s.hiddenBlock, s.ownBlock = false, true, true
	}
	var buf []byte
	add := func(m pgproto3.FrontendMessage) {
		if err == nil {
			buf, err = m.Encode(buf)
		}
	}
	for _, q := range hidden {
		for _, m := range hiddenExtended(q) {
			add(m)
		}
	}
	// Is the client's portal still there? If not, the server says so now and
	// not after GitHub has been asked.
	add(&pgproto3.Describe{ObjectType: 'P', Name: l.portal.name})
	stmt := l.portal.stmt
	name := stmt.name
	if s.statements[name] != stmt {
		// Its name is another statement's by now: parse it again under ours.
		name = planPortal
		buf = appendRenamed(buf, stmt.parse, name)
	}
	buf = appendBind(buf, l.portal.bind, planPortal, name)
	add(&pgproto3.Execute{Portal: planPortal})
	add(&pgproto3.Close{ObjectType: 'P', Name: planPortal})
	if name == planPortal {
		add(&pgproto3.Close{ObjectType: 'S', Name: planPortal})
	}
	add(&pgproto3.Flush{})
	if err != nil {
		return false, err
	}
	if !s.toServer(buf) {
		return false, errServerGone
	}
	var e *serverError
	for range hidden {
		var r reply
		if err := s.readExtended(&r); err != nil {
			return false, err
		}
		if e = r.err; e != nil {
			break
		}
		if len(r.row) > 1 {
			rows.limit = rowLimit(r.row[1])
		}
	}
	if e == nil {
		closes := 1
		if name == planPortal {
			closes = 2
		}
		if e, err = s.readPlanExtended(rows, closes); err != nil {
			return false, err
		}
	}
	if e != nil {
		s.tellError(e, 0)
		return true, nil
	}
	return false, nil
}

// appendRenamed appends a Parse message under another name.
func appendRenamed(buf, parse []byte, name string) []byte {
	_, rest, _ := bytes.Cut(parse[5:], []byte{0})
	buf = append(buf, 'P')
	buf = binary.BigEndian.AppendUint32(buf, uint32(4+len(name)+1+len(rest)))
	buf = append(append(buf, name...), 0)
	return append(buf, rest...)
}

// appendBind appends a Bind message for another portal and statement.
func appendBind(buf, bind []byte, portal, stmt string) []byte {
	_, _, rest, _ := cut(bind[5:])
	buf = append(buf, 'B')
	buf = binary.BigEndian.AppendUint32(buf, uint32(4+len(portal)+1+len(stmt)+1+len(rest)))
	buf = append(append(buf, portal...), 0)
	buf = append(append(buf, stmt...), 0)
	return append(buf, rest...)
}

func (l *extendedLane) plain() (failed bool, err error) {
	if !l.s.toServer(l.execute) {
		return false, errServerGone
	}
	if err := l.s.send(&pgproto3.Flush{}); err != nil {
		return false, err
	}
	_, failed, err = l.relayExecute(false)
	return failed, err
}

// relayExecute relays the reply to one Execute. With hold, the message that
// ends it is returned and not relayed.
func (l *extendedLane) relayExecute(hold bool) (end []byte, failed bool, err error) {
	s := l.s
	for {
		typ, size, err := s.next()
		if err != nil {
			return nil, false, err
		}
		switch typ {
		case 'C', 's', 'I':
			if !hold {
				return nil, false, s.relay(typ, size)
			}
			end, err = s.take(size)
			return end, false, err
		case 'E':
			return nil, true, s.relay(typ, size)
		default:
			if err := s.relay(typ, size); err != nil {
				return nil, false, err
			}
		}
	}
}

func (l *extendedLane) apply(setup []string, finish string) (failed bool, err error) {
	s := l.s
	var buf []byte
	add := func(msgs ...pgproto3.FrontendMessage) {
		for _, m := range msgs {
			if err == nil {
				buf, err = m.Encode(buf)
			}
		}
	}
	for _, q := range setup {
		add(hiddenExtended(q)...)
	}
	buf = append(buf, l.execute...)
	add(hiddenExtended(finish)...)
	add(&pgproto3.Flush{})
	if err != nil {
		return false, err
	}
	if !s.toServer(buf) {
		return false, errServerGone
	}
	for range setup {
		var r reply
		if err := s.readExtended(&r); err != nil {
			return false, err
		}
		if r.err != nil {
			r.err.Where = ""
			s.tellError(r.err, 0)
			return true, nil
		}
	}
	end, failed, err := l.relayExecute(true)
	if err != nil || failed {
		return failed, err
	}
	var r reply
	if err := s.readExtended(&r); err != nil {
		return false, err
	}
	if r.err != nil {
		r.err.Where = ""
		s.tellError(r.err, 0)
		return true, nil
	}
	s.out = append(s.out, end...)
	return false, nil
}

func (l *extendedLane) fail(r *refused) error {
	replies, err := l.queries(r.raise())
	if err != nil {
		return err
	}
	e := replies[0].err
	if e == nil {
		return errServerGone // raise always fails
	}
	e.Where = ""
	l.s.tellError(e, 0)
	return nil
}
