package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// trigger is one that keeps clients from changing the mirror past GitHub.
type trigger struct {
	relation, name, function string
	// events and level as pg_get_triggerdef prints them.
	events, level string
	// always: it must also fire for sessions with session_replication_role =
	// replica; and it lets rows of pghub_sync pass.
	always bool
}

// wantedTriggers are those that the migrations make.
func wantedTriggers() []trigger {
	var list []trigger
	for _, t := range schema.Tables {
		name, function := "pghub_refuse", "refuse_write"
		if len(t.Writable()) > 0 {
			name, function = "pghub_write_through", "write_through"
		}
		list = append(list,
			trigger{t.Name, name, function, "BEFORE INSERT OR DELETE OR UPDATE", "FOR EACH ROW", true},
			trigger{t.Name, "pghub_refuse_truncate", "refuse_write", "BEFORE TRUNCATE", "FOR EACH STATEMENT", true})
	}
	for _, view := range []string{"issue_label", "issue_assignee"} {
		list = append(list, trigger{view, "pghub_write", "write_" + view, "INSTEAD OF INSERT OR DELETE", "FOR EACH ROW", false})
	}
	return list
}

// sql makes the trigger.
func (t trigger) sql() string {
	relation := pgx.Identifier{schema.Name, t.relation}.Sanitize()
	condition, enable := "", ""
	if t.always {
		condition = fmt.Sprintf("WHEN (current_user <> '%s') ", schema.RoleSync)
		enable = "; " + t.enable()
	}
	return fmt.Sprintf("CREATE OR REPLACE TRIGGER %s %s ON %s %s %sEXECUTE FUNCTION %s()%s", pgx.Identifier{t.name}.Sanitize(), t.events, relation,
		t.level, condition, pgx.Identifier{schema.Internal, t.function}.Sanitize(), enable)
}

func (t trigger) enable() string {
	always := ""
	if t.always {
		always = "ALWAYS "
	}
	return fmt.Sprintf("ALTER TABLE %s ENABLE %sTRIGGER %s", pgx.Identifier{schema.Name, t.relation}.Sanitize(), always, pgx.Identifier{t.name}.Sanitize())
}

// triggers compares the triggers with what the migrations make.
//
// https://www.postgresql.org/docs/current/catalog-pg-trigger.html
func triggers(ctx context.Context, conn *pgx.Conn, r *Report) {
	const what = "triggers"
	rows, err := conn.Query(ctx, `
SELECT c.relname, t.tgname, n.nspname || '.' || p.proname AS function, t.tgenabled::text AS enabled, pg_get_triggerdef(t.oid) AS definition
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  JOIN pg_proc p ON p.oid = t.tgfoid
  JOIN pg_namespace n ON n.oid = p.pronamespace
 WHERE c.relnamespace = $1::text::regnamespace AND NOT t.tgisinternal`, schema.Name)
	type found struct{ Relname, Tgname, Function, Enabled, Definition string }
	var list []found
	if err == nil {
		list, err = pgx.CollectRows(rows, pgx.RowToStructByPos[found])
	}
	if err != nil {
		r.fail(what, "see the server's log", "reading them: %v", err)
		return
	}
	present := map[[2]string]found{}
	for _, f := range list {
		present[[2]string{f.Relname, f.Tgname}] = f
	}
	sound := 0
	for _, t := range wantedTriggers() {
		where := fmt.Sprintf("%s on github.%s", t.name, t.relation)
		f, there := present[[2]string{t.relation, t.name}]
		asOwner := "as " + schema.RoleSync + " or a superuser: "
		switch {
		case !there:
			r.fail(what, asOwner+t.sql(), "%s is gone: clients could change the mirror without GitHub", where)
		case f.Function != schema.Internal+"."+t.function || !strings.Contains(f.Definition, t.events) || !strings.Contains(f.Definition, t.level) ||
			t.always != strings.Contains(f.Definition, schema.RoleSync):
			r.fail(what, asOwner+t.sql(), "%s is not what the migrations made: %s", where, f.Definition)
		case t.always && f.Enabled != "A":
			r.fail(what, asOwner+t.enable(), "%s is not ENABLE ALWAYS: session_replication_role = replica walks past it", where)
		case !t.always && f.Enabled == "D":
			r.fail(what, asOwner+t.enable(), "%s is disabled", where)
		default:
			sound++
		}
	}
	if sound == len(wantedTriggers()) {
		r.ok(what, "all %d guard the mirror", sound)
	}
}
