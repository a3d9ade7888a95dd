package proxy

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"
	"time"

	"github.com/pghub/pghub/sqlparse"
)

// stream is a net.Conn that only reads.
type stream struct {
	net.Conn
	io.Reader
}

func (s stream) Read(b []byte) (int, error) { return s.Reader.Read(b) }

// message builds a protocol message.
func message(typ byte, body string) []byte {
	b := binary.BigEndian.AppendUint32([]byte{typ}, uint32(4+len(body)))
	return append(b, body...)
}

// walk reads a stream to its end, as a relay does, and returns the types of the messages in it and
// all bytes passed on.
func walk(r io.Reader, hold func(typ byte, size int) bool) (types, passed []byte) {
	p := newPump(stream{Reader: r})
	for {
		start, need := p.r, 0
		for {
			typ, size, ok := p.nextHeader()
			if !ok {
				break
			}
			if hold(typ, size) && !p.has(size) {
				need = size
				break
			}
			types = append(types, typ)
			p.hop(size)
		}
		passed = append(passed, p.buf[start:p.r]...)
		p.compact(need)
		if p.read() != nil {
			return types, append(passed, p.buf[p.r:p.w]...)
		}
	}
}

func TestPumpPassesEverythingOn(t *testing.T) {
	t.Parallel()
	var all []byte
	want := ""
	for i, size := range []int{0, 1, 5, readSize - 6, readSize - 5, readSize - 4, readSize, 3*readSize + 1, 7, 0} {
		typ := byte('a' + i)
		all = append(all, message(typ, string(bytes.Repeat([]byte{byte(i)}, size)))...)
		want += string(typ)
	}
	for name, reader := range map[string]io.Reader{
		"whole": bytes.NewReader(all), "byte by byte": iotest.OneByteReader(bytes.NewReader(all)), "half": iotest.HalfReader(bytes.NewReader(all)),
	} {
		for _, held := range []bool{false, true} {
			types, passed := walk(reader, func(byte, int) bool { return held })
			if string(types) != want || !bytes.Equal(passed, all) {
				t.Errorf("%s, held %v: types %q, %d of %d bytes", name, held, types, len(passed), len(all))
			}
			reader = bytes.NewReader(all)
		}
	}
}

// TestPumpHopsWithoutAllocation: what is relayed unseen must cost nothing.
func TestPumpHopsWithoutAllocation(t *testing.T) {
	batch := bytes.Repeat(message('D', "0123456789"), 1000)
	p := newPump(stream{Reader: bytes.NewReader(nil)})
	p.buf = batch
	if n := testing.AllocsPerRun(100, func() {
		p.r, p.w, p.skip = 0, len(batch), 0
		for p.r < p.w {
			_, size, _ := p.header()
			p.hop(size)
		}
	}); n != 0 {
		t.Errorf("%v allocations for 1000 messages", n)
	}
}

func FuzzPump(f *testing.F) {
	f.Add(message('Q', "SELECT 1\x00"), uint8(1))
	f.Add(append(message('Z', "I"), 'Q', 0, 0, 0, 3, 'x'), uint8(0))
	f.Add([]byte{'D', 0x7f, 0xff, 0xff, 0xff, 1, 2, 3}, uint8(7))
	f.Fuzz(func(t *testing.T, data []byte, mode uint8) {
		var r io.Reader = bytes.NewReader(data)
		if mode&1 == 1 {
			r = iotest.OneByteReader(r)
		}
		_, passed := walk(r, func(typ byte, size int) bool { return size <= maxHold && typ&1 == mode>>1&1 })
		if !bytes.Equal(passed, data) {
			t.Errorf("passed on %q of %q", passed, data)
		}
	})
}

func FuzzReadStartup(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x08\x04\xd2\x16\x2f\x00\x00\x00\x21\x00\x03\x00\x00user\x00app\x00database\x00pghub\x00\x00"))
	f.Add([]byte("\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02"))
	f.Add([]byte("\x00\x00\x00\x08\x04\xd2\x16\x30\x00\x00\x00\x08\x04\xd2\x16\x30"))
	f.Add([]byte("\xff\xff\xff\xff\x00\x03\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		packet, code, err := readStartup(writable{stream{Reader: iotest.OneByteReader(bytes.NewReader(data))}})
		if err != nil {
			return
		}
		if len(packet) > maxStartupPacket || len(packet) < 8 || code != binary.BigEndian.Uint32(packet[4:]) {
			t.Errorf("packet of %d bytes, code %d", len(packet), code)
		}
		startupParameter(packet, "database")
	})
}

type writable struct{ stream }

func (writable) Write(b []byte) (int, error) { return len(b), nil }

// FuzzInspect gives arbitrary messages to everything that looks into a client's
// messages, and to what follows the transaction by the server's.
func FuzzInspect(f *testing.F) {
	f.Add(byte('P'), []byte("s\x00INSERT INTO issue VALUES (1)\x00\x00\x00"), byte('C'), []byte("COMMIT\x00"))
	f.Add(byte('B'), []byte("p\x00s\x00\x00\x00\x00\x00\x00\x00"), byte('Z'), []byte("I"))
	f.Add(byte('C'), []byte(""), byte('C'), []byte(""))
	f.Add(byte('E'), []byte("p\x00\x00\x00\x00\x00"), byte('S'), []byte("standard_conforming_strings\x00off\x00"))
	f.Add(byte('Q'), []byte("WITH x AS (DELETE FROM issue RETURNING id) SELECT 1/0 FROM x"), byte('E'), []byte("SERROR\x00C22012\x00\x00"))
	classifier := sqlparse.New(sqlparse.Config{})
	classifier.SetWatched([]string{"issue"})
	f.Fuzz(func(t *testing.T, typ byte, body []byte, serverType byte, serverBody []byte) {
		s := newSession(&Proxy{classifier: classifier, keys: map[string]*session{}, outcomes: make(chan []outcome, 1)}, nil)
		stmt := &statement{name: "s"}
		s.statements["s"] = stmt
		for range 2 { // also with what the first round has left behind
			msg := message(typ, string(body))
			if s.looksAt(typ, len(msg)) {
				s.inspect(typ, msg)
			}
			s.noteClient(typ)
			reply := message(serverType, string(serverBody))
			if seesWhole(serverType, len(reply)) {
				s.noteServer(serverType, reply)
			} else {
				s.noteServer(serverType, nil)
			}
		}
		for _, p := range s.portals {
			if len(p.bind) == 0 || p.stmt == nil {
				t.Error("a portal without Bind message")
			}
			appendBind(nil, p.bind, planPortal, "s")
		}
		rows := &plannedRows{signer: &signer{key: []byte("k")}, nonce: "n", limit: 1}
		rows.add(string(body))
		if rows.count != 0 {
			t.Error("a report without a signature was believed")
		}
	})
}

// TestReportsAreBelievedOnlyWithASignature also covers the row limit: beyond it rows are counted and not kept.
func TestReportsAreBelievedOnlyWithASignature(t *testing.T) {
	t.Parallel()
	g := &signer{key: []byte("key")}
	rows := &plannedRows{signer: g, nonce: "aa", limit: 2}
	const body = "eyJ0YWJsZSI6Imlzc3VlIiwib3AiOiJ1cGRhdGUiLCJvbGQiOnsiaWQiOiAxfSwibmV3Ijp7fSwiZGlnZXN0IjoieCJ9" // {"table":"issue","op":"update","old":{"id": 1},...}
	rows.add(g.sign("report:bb:"+body) + ":" + body)
	rows.add(body)
	if rows.count != 0 {
		t.Fatal("a report for another statement was believed")
	}
	good := g.sign("report:aa:"+body) + ":" + body
	rows.add(good)
	if rows.count != 1 || len(rows.changes) != 1 || rows.changes[0].id != 1 || rows.err != nil {
		t.Fatalf("%+v", rows)
	}
	rows.add(good)
	if rows.err == nil || rows.err.SQLSTATE != "0A000" {
		t.Errorf("the same row twice: %v", rows.err)
	}
	rows.add(good)
	if rows.count != 3 || rows.changes != nil {
		t.Errorf("beyond the limit: %+v", rows)
	}
}

// TestCancelRequestsReachTheServer passes the packet on as it is.
func TestCancelRequestsReachTheServer(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	p, err := New(t.Context(), Config{Listen: "127.0.0.1:0", DatabaseURL: "postgres://x@" + server.Addr().String() + "/x"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- p.Serve(ctx) }()
	client, err := net.Dial("tcp", p.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	want := []byte("\x00\x00\x00\x10\x04\xd2\x16\x2e\x00\x00\x00\x01\x00\x00\x00\x02")
	client.Write(want)
	at, err := server.Accept()
	if err != nil {
		t.Fatal(err)
	}
	at.SetDeadline(time.Now().Add(10 * time.Second))
	got := make([]byte, len(want))
	if _, err := io.ReadFull(at, got); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the server got %q, %v", got, err)
	}
	at.Close()
	client.SetDeadline(time.Now().Add(10 * time.Second))
	if n, err := client.Read(got); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("the client got %d bytes, %v, want the end", n, err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
