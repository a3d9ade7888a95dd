package proxy

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"github.com/jackc/pgx/v5/pgproto3"
)

// hiddenName is the name of statements and portals that are ours; clients have
// no business with it.
const hiddenName = "pghub_hidden"

// serverError is an error of the server's, kept to be passed on.
type serverError struct{ pgproto3.ErrorResponse }

func (e *serverError) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }

// nonce returns 16 random hex digits.
func nonce() string {
	var b [8]byte
	rand.Read(b[:]) // never fails (documentation of crypto/rand)
	return hex.EncodeToString(b[:])
}

// The functions below may be used only while relayClient holds the server's
// side of the session.

// send writes messages to the server in one write.
func (s *session) send(msgs ...pgproto3.FrontendMessage) error {
	var buf []byte
	var err error
	for _, m := range msgs {
		if buf, err = m.Encode(buf); err != nil {
			return fmt.Errorf("encoding a message for the server: %w", err)
		}
	}
	if !s.toServer(buf) {
		return errServerGone
	}
	return nil
}

// next returns type and size of the server's next message, whose header is at
// up.r. What the client is owed is written before it waits.
func (s *session) next() (typ byte, size int, err error) {
	for {
		typ, size, ok := s.up.header()
		if ok {
			switch typ {
			case 'A', 'S': // may come at any time, and are the client's
				if err := s.relay(typ, size); err != nil {
					return 0, 0, err
				}
				continue
			}
			return typ, size, nil
		}
		if s.up.raw {
			return 0, 0, errServerGone
		}
		s.flush()
		s.up.compact(0)
		if err := s.up.read(); err != nil {
			return 0, 0, errServerGone
		}
	}
}

// relay passes the message at up.r on to the client, through s.out, and notes
// what it tells about the transaction.
func (s *session) relay(typ byte, size int) error {
	if seesWhole(typ, size) {
		msg, err := s.up.message(size)
		if err != nil {
			return errServerGone
		}
		s.out = append(s.out, s.noteServer(typ, msg)...)
		s.out = append(s.out, msg...)
		s.up.r += size
		return nil
	}
	s.noteServer(typ, nil)
	s.up.skip = size
	return s.finishMessage()
}

// finishMessage passes on the rest of a message that is under way.
func (s *session) finishMessage() error {
	for s.up.skip > 0 {
		from := s.up.r
		s.up.hopOn()
		s.out = append(s.out, s.up.buf[from:s.up.r]...)
		if len(s.out) > 4*readSize {
			s.flush()
		}
		if s.up.skip > 0 {
			s.flush()
			s.up.compact(0)
			if err := s.up.read(); err != nil {
				return errServerGone
			}
		}
	}
	return nil
}

// skipMessage drops the message at up.r.
func (s *session) skipMessage(size int) {
	for size > 0 {
		n := min(size, s.up.w-s.up.r)
		s.up.r += n
		size -= n
		if size > 0 {
			s.up.compact(0)
			if s.up.read() != nil {
				return // the next read says so again
			}
		}
	}
}

// take returns a copy of the message at up.r and moves past it.
func (s *session) take(size int) ([]byte, error) {
	msg, err := s.up.message(size)
	if err != nil {
		return nil, errServerGone
	}
	msg = append([]byte(nil), msg...)
	s.up.r += size
	return msg, nil
}

// takeError returns the ErrorResponse at up.r.
func (s *session) takeError(size int) (*serverError, error) {
	msg, err := s.take(size)
	if err != nil {
		return nil, err
	}
	e := &serverError{}
	if err := e.Decode(msg[5:]); err != nil {
		return nil, errServerGone
	}
	return e, nil
}

// flush writes what the client is owed. A client that cannot be written to is
// remembered as lost; what is under way goes on to its end, as it would in the
// server.
func (s *session) flush() {
	if len(s.out) > 0 && !s.lost && !s.toClient(s.out) {
		s.lost = true
	}
	s.out = s.out[:0]
}

// tell queues a message of our own for the client.
func (s *session) tell(m pgproto3.BackendMessage) {
	if out, err := m.Encode(s.out); err == nil {
		s.out = out
	}
}

// reply is what a hidden query brought: its last row, as text.
type reply struct {
	row [][]byte
	tag string
	err *serverError
}

// hiddenQueries runs statements of ours by the simple protocol, one Query
// message each, in one write, and returns a reply for each.
func (s *session) hiddenQueries(queries ...string) ([]reply, error) {
	if err := s.sendQueries(queries...); err != nil {
		return nil, err
	}
	replies := make([]reply, len(queries))
	for i := range replies {
		if err := s.readHidden(&replies[i]); err != nil {
			return nil, err
		}
	}
	return replies, nil
}

func (s *session) sendQueries(queries ...string) error {
	msgs := make([]pgproto3.FrontendMessage, len(queries))
	for i, q := range queries {
		msgs[i] = &pgproto3.Query{String: q}
	}
	return s.send(msgs...)
}

// readHidden reads the reply to one hidden Query message, ReadyForQuery included.
func (s *session) readHidden(r *reply) error {
	for {
		typ, size, err := s.next()
		if err != nil {
			return err
		}
		switch typ {
		case 'E':
			if r.err, err = s.takeError(size); err != nil {
				return err
			}
		case 'D', 'C':
			msg, err := s.take(size)
			if err != nil {
				return err
			}
			r.note(typ, msg)
		case 'Z':
			msg, err := s.take(size)
			if err != nil {
				return err
			}
			s.status = msg[5]
			return nil
		default:
			s.skipMessage(size)
		}
	}
}

func (r *reply) note(typ byte, msg []byte) {
	switch typ {
	case 'D':
		var row pgproto3.DataRow
		if row.Decode(msg[5:]) == nil {
			r.row = row.Values
		}
	case 'C':
		r.tag = string(msg[5 : len(msg)-1])
	}
}

// hiddenExtended are the messages that run query, hidden, in an
// extended-protocol segment; readExtended reads their reply.
func hiddenExtended(query string) []pgproto3.FrontendMessage {
	return []pgproto3.FrontendMessage{
		&pgproto3.Parse{Name: hiddenName, Query: query},
		&pgproto3.Bind{DestinationPortal: hiddenName, PreparedStatement: hiddenName},
		&pgproto3.Execute{Portal: hiddenName},
		&pgproto3.Close{ObjectType: 'P', Name: hiddenName},
		&pgproto3.Close{ObjectType: 'S', Name: hiddenName},
	}
}

// readExtended reads the reply to the messages of one hiddenExtended. After an
// error there is no more to read before the Sync.
func (s *session) readExtended(r *reply) error {
	for closed := 0; closed < 2; {
		typ, size, err := s.next()
		if err != nil {
			return err
		}
		switch typ {
		case 'E':
			r.err, err = s.takeError(size)
			return err
		case 'D', 'C':
			msg, err := s.take(size)
			if err != nil {
				return err
			}
			r.note(typ, msg)
			if r.tag == "BEGIN" && typ == 'C' {
				s.status = 'T'
			}
		case '3':
			closed++
			s.skipMessage(size)
		default:
			s.skipMessage(size)
		}
	}
	return nil
}
