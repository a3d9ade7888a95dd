package proxy

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
)

const (
	// readSize is the room for one read.
	readSize = 16 << 10
	// maxHold is the longest message that is held whole to look at it; longer
	// ones stream through unseen.
	maxHold = 16 << 20
)

var errTooLong = errors.New("message too long to hold")

// pump reads one direction of a connection and knows where its messages begin.
// buf[r:w] is read but not yet dealt with; the next skip bytes of the stream
// are the rest of a message whose header has been passed.
type pump struct {
	src  net.Conn
	buf  []byte
	r, w int
	skip int
	raw  bool  // the stream is not made of messages any more: pass it on as it is
	err  error // of the last read
}

func newPump(src net.Conn) pump { return pump{src: src, buf: make([]byte, readSize)} }

// header returns type and whole length (with type byte) of the message at r.
// It returns false while fewer than 5 bytes of it are there, and switches to
// raw for a length that no message has: the server will say what is wrong.
func (p *pump) header() (typ byte, size int, ok bool) {
	if p.w-p.r < 5 {
		return 0, 0, false
	}
	n := binary.BigEndian.Uint32(p.buf[p.r+1:])
	if n < 4 || n > 1<<30 {
		p.raw = true
		return 0, 0, false
	}
	return p.buf[p.r], int(n) + 1, true
}

// nextHeader moves past the rest of a message under way, or past everything
// once the stream is raw, and returns the header of the next message. It
// returns false when there is nothing more to look at before the next read.
func (p *pump) nextHeader() (typ byte, size int, ok bool) {
	if !p.raw {
		p.hopOn()
		if p.skip == 0 {
			typ, size, ok = p.header()
		}
	}
	if p.raw {
		p.r = p.w
	}
	return typ, size, ok
}

// has reports whether the first n bytes of the message at r are in the buffer.
func (p *pump) has(n int) bool { return p.w-p.r >= n }

// hop moves past the message at r, whether it is all there or not.
func (p *pump) hop(size int) {
	p.skip = size
	p.hopOn()
}

// hopOn moves past what has arrived of a message under way.
func (p *pump) hopOn() {
	n := min(p.skip, p.w-p.r)
	p.r += n
	p.skip -= n
}

// compact makes room for a read, and for a message of need bytes at r.
func (p *pump) compact(need int) {
	if p.r > 0 {
		p.w = copy(p.buf, p.buf[p.r:p.w])
		p.r = 0
	}
	if need > len(p.buf) {
		grown := make([]byte, need+readSize)
		copy(grown, p.buf[:p.w])
		p.buf = grown
	} else if len(p.buf) > 8*readSize && p.w == 0 && need <= readSize {
		p.buf = make([]byte, readSize) // one long message must not cost its room for ever
	}
}

// read reads once more, after compact.
func (p *pump) read() error {
	n, err := p.src.Read(p.buf[p.w:])
	p.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	p.err = err
	return err
}

// message returns the whole message at r, reading as needed. It is valid until
// the next call.
func (p *pump) message(size int) ([]byte, error) {
	if size > maxHold {
		return nil, errTooLong
	}
	for !p.has(size) {
		p.compact(size)
		if err := p.read(); err != nil {
			return nil, err
		}
	}
	return p.buf[p.r : p.r+size], nil
}
