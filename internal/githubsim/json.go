package githubsim

import (
	"strconv"
	"time"
	"unicode/utf8"
)

// enc appends JSON to a buffer. Objects are written by hand and not by
// reflection because a page of 100 issues is half a megabyte and is rendered
// anew for every request.
type enc struct {
	b        []byte
	api, web string // bases of API and web URLs, without a trailing slash
	later    bool   // API version 2026-03-10, which has dropped some members
	event    bool   // a webhook, whose objects lack some members of the API's
}

// sep writes the comma that a member or element needs unless it is the first.
func (e *enc) sep() {
	if n := len(e.b); n > 0 {
		if c := e.b[n-1]; c != '{' && c != '[' && c != ':' {
			e.b = append(e.b, ',')
		}
	}
}

func (e *enc) open(c byte)  { e.sep(); e.b = append(e.b, c) }
func (e *enc) close(c byte) { e.b = append(e.b, c) }

// key writes a member's name; names are constants that need no escaping.
func (e *enc) key(k string) {
	e.sep()
	e.b = append(e.b, '"')
	e.b = append(e.b, k...)
	e.b = append(e.b, '"', ':')
}

func (e *enc) object(k string) { e.key(k); e.b = append(e.b, '{') }
func (e *enc) array(k string)  { e.key(k); e.b = append(e.b, '[') }

func (e *enc) str(k, v string) { e.key(k); e.b = appendString(e.b, v) }

func (e *enc) strOrNull(k string, v *string) {
	if v == nil {
		e.null(k)
		return
	}
	e.str(k, *v)
}

// textOrNull writes the empty string as null, for columns where GitHub has no
// empty value.
func (e *enc) textOrNull(k, v string) {
	if v == "" {
		e.null(k)
		return
	}
	e.str(k, v)
}

func (e *enc) null(k string) { e.key(k); e.b = append(e.b, "null"...) }

func (e *enc) num(k string, v int64) { e.key(k); e.b = strconv.AppendInt(e.b, v, 10) }

func (e *enc) boolean(k string, v bool) { e.key(k); e.b = strconv.AppendBool(e.b, v) }

func (e *enc) raw(k, v string) { e.key(k); e.b = append(e.b, v...) }

// instant writes seconds since 1970 in GitHub's form, whole seconds in UTC.
func (e *enc) instant(k string, unix int64) {
	e.key(k)
	e.b = append(e.b, '"')
	e.b = time.Unix(unix, 0).UTC().AppendFormat(e.b, "2006-01-02T15:04:05Z")
	e.b = append(e.b, '"')
}

func (e *enc) instantOrNull(k string, unix int64) {
	if unix == 0 {
		e.null(k)
		return
	}
	e.instant(k, unix)
}

// apiURL writes a URL made of the API base and the given parts.
func (e *enc) apiURL(k string, parts ...string) { e.key(k); e.url(e.api, parts) }

// webURL writes a URL made of the web base and the given parts.
func (e *enc) webURL(k string, parts ...string) { e.key(k); e.url(e.web, parts) }

func (e *enc) url(base string, parts []string) {
	e.b = append(e.b, '"')
	e.b = append(e.b, base...)
	for _, p := range parts {
		e.b = append(e.b, p...)
	}
	e.b = append(e.b, '"')
}

const hexDigits = "0123456789abcdef"

// appendString appends s as a JSON string. Like GitHub it leaves everything but
// quotes, backslashes and control characters as UTF-8.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= 0x20 && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			switch c {
			case '"', '\\':
				b = append(b, '\\', c)
			case '\n':
				b = append(b, '\\', 'n')
			case '\r':
				b = append(b, '\\', 'r')
			case '\t':
				b = append(b, '\\', 't')
			default:
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\uFFFD"...)
			i++
			start = i
			continue
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
