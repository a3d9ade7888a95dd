package ghapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

// Pages sends r, hands each page to fn and follows the rel=next links until
// the last page, an error of fn, or an error of GitHub. The pages arrive in
// order, one at a time; Response.Next of a page is where to resume after it.
func (c *Client) Pages(ctx context.Context, r Request, fn func(*Response) error) error {
	for {
		resp, err := c.Do(ctx, r)
		if err != nil {
			return err
		}
		if err := fn(resp); err != nil {
			return err
		}
		if resp.Next == "" {
			return nil
		}
		// The link carries the whole query; counted pages of one's own end
		// at 10,000 objects.
		r.Path, r.Query, r.IfNoneMatch = resp.Next, nil, ""
	}
}

// nextLink finds the rel=next target of the Link header (RFC 8288) and makes
// it absolute.
func nextLink(h http.Header, page *url.URL) string {
	for _, header := range h.Values("Link") {
		for header != "" {
			start := strings.IndexByte(header, '<')
			end := strings.IndexByte(header, '>')
			if start < 0 || end < start {
				break
			}
			target := header[start+1 : end]
			params := header[end+1:]
			// The next entry begins after a comma; commas inside a target
			// were skipped with it.
			header = ""
			if comma := strings.Index(params, ",<"); comma >= 0 {
				params, header = params[:comma], params[comma+1:]
			} else if comma := strings.Index(params, ", <"); comma >= 0 {
				params, header = params[:comma], params[comma+1:]
			}
			if !isNext(params) {
				continue
			}
			if u, err := page.Parse(target); err == nil {
				if strings.HasPrefix(target, "http") {
					return target
				}
				return u.String()
			}
		}
	}
	return ""
}

func isNext(params string) bool {
	for param := range strings.SplitSeq(params, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(param), "=")
		if !strings.EqualFold(name, "rel") {
			continue
		}
		for rel := range strings.FieldsSeq(strings.Trim(strings.TrimSpace(value), `"`)) {
			if strings.EqualFold(rel, "next") {
				return true
			}
		}
	}
	return false
}
