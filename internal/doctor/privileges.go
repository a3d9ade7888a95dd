package doctor

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/pghub/pghub/schema"
)

// privileges checks who owns, reads and writes the mirror.
func privileges(ctx context.Context, conn *pgx.Conn, r *Report) {
	const what = "privileges"
	before := r.Count(Fail)
	names := func(sql string, args ...any) []string {
		rows, err := conn.Query(ctx, sql, args...)
		var list []string
		if err == nil {
			list, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
		if err != nil {
			r.fail(what, "see the server's log", "reading them: %v", err)
		}
		return list
	}
	for _, name := range names(`
SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname IN ($1, $2) AND c.relkind IN ('r', 'p', 'v', 'm') AND pg_get_userbyid(c.relowner) <> $3 ORDER BY 1`,
		schema.Name, schema.Internal, schema.RoleSync) {
		r.fail(what, fmt.Sprintf("as a superuser: ALTER TABLE %s OWNER TO %s", name, schema.RoleSync), "%s does not belong to %s", name, schema.RoleSync)
	}
	for _, grant := range []struct {
		role  string
		right string
	}{
		{schema.RoleReader, "SELECT"},
		{schema.RoleWriter, "SELECT"}, {schema.RoleWriter, "INSERT"}, {schema.RoleWriter, "UPDATE"}, {schema.RoleWriter, "DELETE"},
	} {
		lacking := names(`
SELECT format('github.%I', c.relname) FROM pg_class c
 WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
   AND ($3 = 'SELECT' OR c.relname <> $4) -- nobody but the triggers writes events
   AND NOT (has_schema_privilege($2, $1, 'USAGE') AND has_table_privilege($2, c.oid, $3)) ORDER BY 1`, schema.Name, grant.role, grant.right, schema.EventTable)
		if len(lacking) > 0 {
			r.fail(what, fmt.Sprintf("as %s: GRANT USAGE ON SCHEMA github TO %s; GRANT %s ON ALL TABLES IN SCHEMA github TO %s", schema.RoleSync, grant.role, grant.right, grant.role),
				"%s has no %s on %s", grant.role, grant.right, strings.Join(lacking, ", "))
		}
	}
	const members = `
SELECT m.rolname FROM pg_roles m
 WHERE m.rolcanlogin AND NOT m.rolsuper AND m.rolname <> $2 AND pg_has_role(m.rolname, $1, 'MEMBER') ORDER BY 1`
	if strange := names(members, schema.RoleSync, conn.Config().User); len(strange) > 0 {
		r.warn(what, fmt.Sprintf("unless pghub itself logs in as it: REVOKE %s FROM %s", schema.RoleSync, strange[0]),
			"%s may act as %s, and so change the mirror without GitHub", strings.Join(strange, ", "), schema.RoleSync)
	}
	clients := names(members, schema.RoleWriter, "")
	clients = append(clients, names(members, schema.RoleReader, "")...)
	if r.Count(Fail) > before {
		return
	}
	if len(clients) == 0 {
		r.warn(what, fmt.Sprintf("GRANT %s TO a role that clients log in as (%s to write as well)", schema.RoleReader, schema.RoleWriter),
			"no login role but superusers may read the mirror")
		return
	}
	r.ok(what, "readers and writers have theirs; the mirror belongs to %s", schema.RoleSync)
}
