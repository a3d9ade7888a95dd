package proxy

import (
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// silence is how long the server may take to go on after an error that does
// not concern what was sent last.
const silence = 3 * time.Second

// drainBefore relays what the server still owes for messages sent before, so
// that the next thing it says answers us. It returns false when a message of
// the current extended-protocol segment has failed: the server then drops
// everything up to the Sync, our messages too.
func (s *session) drainBefore() (ok bool, err error) {
	if s.ready == s.sent && !s.extended {
		return true, nil
	}
	if s.extended && s.failed && s.ready == s.sent {
		return false, nil
	}
	marker := "pghub " + nonce()
	msgs := hiddenExtended("SELECT '" + marker + "'")
	if s.extended {
		msgs = append(msgs, &pgproto3.Flush{})
	} else {
		msgs = append(msgs, &pgproto3.Sync{})
	}
	if err := s.send(msgs...); err != nil {
		return false, err
	}
	// Our own ParseComplete and BindComplete look like the client's: they are
	// known by the row that follows them.
	held := 0
	suspect := false
	for {
		typ, size, err := s.next()
		if err != nil {
			if suspect && !s.up.raw && isTimeout(s.up.err) {
				s.server.SetReadDeadline(time.Time{})
				s.sent = s.ready
				return false, nil
			}
			return false, err
		}
		if typ == '1' && held == 0 || typ == '2' && held == 1 {
			held++
			s.skipMessage(size)
			continue
		}
		if typ == 'D' && held == 2 {
			msg, err := s.up.message(size)
			if err == nil && len(msg) == 11+len(marker) && string(msg[11:]) == marker {
				s.skipMessage(size)
				break
			}
		}
		s.out = append(s.out, "1\x00\x00\x00\x042\x00\x00\x00\x04"[:5*held]...)
		held = 0
		if typ == '1' {
			held = 1
			s.skipMessage(size)
			continue
		}
		if typ == 'E' && !s.extended && s.ready == s.sent {
			break // ours: the transaction is aborted, and takes no statement
		}
		if err := s.relay(typ, size); err != nil {
			return false, err
		}
		switch {
		case typ == 'E' && s.extended && s.ready == s.sent:
			return false, nil
		case typ == 'E' && s.extended:
			// Of an earlier segment, whose ReadyForQuery then follows at once; or
			// of this one, and the count is off because the server dropped a Query
			// or a Sync. Silence means the latter.
			suspect = true
			s.server.SetReadDeadline(time.Now().Add(silence))
		case typ == 'Z' && suspect:
			suspect = false
			s.server.SetReadDeadline(time.Time{})
		}
	}
	if suspect {
		s.server.SetReadDeadline(time.Time{})
	}
	for left := 2; left > 0; {
		typ, size, err := s.next()
		if err != nil {
			return false, err
		}
		if typ == '3' && s.extended {
			left--
		}
		if typ == 'Z' {
			left = 0
			msg, err := s.up.message(size)
			if err != nil {
				return false, err
			}
			s.status = msg[5]
			s.failed, s.ended = false, false
		}
		s.skipMessage(size)
	}
	if !s.extended {
		s.ready = s.sent
	}
	return true, nil
}
