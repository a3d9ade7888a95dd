package writers

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/pghub/pghub/internal/ghapi"
)

func TestRefuseEveryClass(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 20, 15, 4, 5, 6, time.UTC)
	tests := []struct {
		err  ghapi.Error
		code string
		says []string
	}{
		{ghapi.Error{Class: ghapi.ClassValidation, Status: 422, Message: "Validation Failed", Fields: []ghapi.FieldError{{Resource: "Issue", Field: "title", Code: "missing_field"}}}, "23514", []string{"Issue.title: missing_field", "Validation Failed", "422"}},
		{ghapi.Error{Class: ghapi.ClassPermission, Status: 403, Message: "Resource not accessible", AcceptedPermissions: "issues=write; pull_requests=write"}, "42501", []string{"needs issues=write or pull_requests=write", "Resource not accessible"}},
		{ghapi.Error{Class: ghapi.ClassPermission, Status: 403, Message: "Must have admin rights"}, "42501", []string{"needs issues=write"}},
		{ghapi.Error{Class: ghapi.ClassNotFound, Status: 404, Message: "Not Found"}, "42704", []string{"404 Not Found"}},
		{ghapi.Error{Class: ghapi.ClassGone, Status: 410, Message: "This issue was deleted"}, "55000", []string{"This issue was deleted"}},
		{ghapi.Error{Class: ghapi.ClassMoved, Status: 301, Message: "moved", Location: "https://api.github.com/repositories/1/issues/2"}, "55000", []string{"https://api.github.com/repositories/1/issues/2"}},
		{ghapi.Error{Class: ghapi.ClassUnauthorized, Status: 401, Message: "Bad credentials"}, "42501", []string{"GITHUB_TOKEN", "Bad credentials"}},
		{ghapi.Error{Class: ghapi.ClassLimited, Status: 403, Message: "API rate limit exceeded", RetryAt: at}, "53400", []string{"Retry after 2026-11-20T15:04:06Z."}},
		{ghapi.Error{Class: ghapi.ClassUnreachable, Message: "no answer", Err: errors.New("connection refused")}, "08006", []string{"connection refused", "Nothing was changed"}},
		{ghapi.Error{Class: ghapi.ClassServer, Status: 502, Message: "Bad Gateway"}, "08006", []string{"502"}},
		{ghapi.Error{Class: ghapi.ClassUnknown, Message: "no answer", RequestID: "1:2"}, "08007", []string{"not known", "1:2"}},
		{ghapi.Error{Class: ghapi.ClassCanceled, Err: context.Canceled}, "57014", []string{"canceled"}},
	}
	for _, test := range tests {
		err := fmt.Errorf("wrapped: %w", &test.err)
		r := Refuse(err)
		all := r.Message + "\n" + r.Detail + "\n" + r.Hint
		if r.SQLSTATE != test.code || r.Message == "" || strings.Contains(r.Message, "\n") {
			t.Errorf("%v: %s %q, want %s", test.err.Class, r.SQLSTATE, r.Message, test.code)
		}
		for _, words := range test.says {
			if !strings.Contains(all, words) {
				t.Errorf("%v does not say %q:\n%s", test.err.Class, words, all)
			}
		}
		if !errors.Is(r, &test.err) {
			t.Errorf("%v: the cause is lost", test.err.Class)
		}
	}
	if Refuse(nil) != nil {
		t.Error("nil became a refusal")
	}
	if r := Refuse(context.DeadlineExceeded); r.SQLSTATE != "57014" {
		t.Errorf("deadline became %s", r.SQLSTATE)
	}
	if r := Refuse(errors.New("x")); r.SQLSTATE != "XX000" || r.Detail != "x" {
		t.Errorf("an unknown error became %+v", r)
	}
	first := &Refusal{SQLSTATE: "23514", Message: "m"}
	if Refuse(fmt.Errorf("again: %w", first)) != first {
		t.Error("a refusal did not stay itself")
	}
}
