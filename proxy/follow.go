package proxy

import "bytes"

// looksAt reports whether a client message has to be seen whole.
func (s *session) looksAt(typ byte, size int) bool {
	switch typ {
	case 'Q', 'P':
		return size <= maxHold
	case 'B', 'E', 'C':
		return size <= maxHold && len(s.statements)+len(s.portals) > 0
	case 'S':
		return s.hiddenBlock
	}
	return false
}

// noteClient keeps count of a client message that is passed on.
func (s *session) noteClient(typ byte) {
	switch typ {
	case 'Q', 'F':
		s.sent++
		s.lastExecute = typ
	case 'S':
		s.sent++
		s.extended = false
	case 'P', 'B', 'D', 'C':
		s.extended = true
	case 'E':
		s.extended = true
		s.lastExecute = typ
	case 'c', 'f':
		// A Sync that the server met while it was copying in was ignored
		// (PostgreSQL documentation, 55.2.6 COPY Operations).
		if s.lastExecute == 'E' {
			s.sent = int(s.readyNow.Load())
		}
	}
}

// seesWhole reports whether noteServer needs the body of a message: those that
// tell about the transaction, and the cancel key.
func seesWhole(typ byte, size int) bool {
	switch typ {
	case 'Z':
		return size == 6
	case 'C':
		return size <= 128
	case 'K', 'S':
		return size <= 512
	}
	return false
}

// noteServer keeps track of a message from the server that the client gets. It
// returns a notice that the client has to get before it, or nil.
func (s *session) noteServer(typ byte, msg []byte) []byte {
	switch typ {
	case 'E':
		s.failed = true
	case 'C':
		s.noteTag(msg)
	case 'S':
		if value, ok := bytes.CutPrefix(msg[min(5, len(msg)):], []byte("standard_conforming_strings\x00")); ok {
			s.backslash.Store(string(value) == "off\x00")
		}
	case 'K':
		if msg != nil && s.key == "" {
			s.p.remember(string(msg[5:]), s)
		}
	case 'Z':
		s.ready++
		if msg == nil {
			return nil
		}
		s.status = msg[5]
		var notice []byte
		if len(s.pending) > 0 && (s.status == 'I' || s.status == 'T' && s.ended) {
			notice = s.settle(false)
		}
		s.failed, s.ended = false, false
		return notice
	}
	return nil
}

// noteTag follows the transaction by the tags of CommandComplete: a COMMIT tag
// comes after the commit, and only if it succeeded.
func (s *session) noteTag(msg []byte) {
	if len(msg) < 6 {
		return
	}
	switch tag := string(msg[5 : len(msg)-1]); tag {
	case "BEGIN", "START TRANSACTION":
		s.status, s.ownBlock = 'T', false // a block of ours is the client's now
	case "COMMIT":
		s.status = 'I'
		s.settle(true)
	case "PREPARE TRANSACTION":
		// Its fate is decided later: the repair loop sees it then.
		s.status = 'I'
		s.leavePending()
	case "ROLLBACK":
		// Also the tag of ROLLBACK TO SAVEPOINT: the next ReadyForQuery tells.
		s.ended = true
	}
}
