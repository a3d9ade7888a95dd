package sqlparse

import (
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
)

// nested are the shapes of SQL that nest most for the fewest tokens; n is how often.
var nested = map[string]func(n int) string{
	"plus":        func(n int) string { return "SELECT 1" + strings.Repeat("+1", n) },
	"prefix":      func(n int) string { return "SELECT " + strings.Repeat("@ ", n) + "a" },
	"minus":       func(n int) string { return "SELECT " + strings.Repeat("- ", n) + "a" },
	"plusminus":   func(n int) string { return "SELECT " + strings.Repeat("+-", n/2) + "a" },
	"parentheses": func(n int) string { return "SELECT " + strings.Repeat("(1+", n) + "1" + strings.Repeat(")", n) },
	"case": func(n int) string {
		return "SELECT " + strings.Repeat("CASE WHEN true THEN ", n) + "1" + strings.Repeat(" END", n)
	},
	"case when": func(n int) string {
		return "SELECT " + strings.Repeat("CASE WHEN ", n) + "true" + strings.Repeat(" THEN true END", n)
	},
	"case and": func(n int) string {
		return "SELECT " + strings.Repeat("CASE WHEN a.end AND b THEN ", n) + "1" + strings.Repeat(" END", n)
	},
	"subselect": func(n int) string { return "SELECT " + strings.Repeat("(SELECT ", n) + "1" + strings.Repeat(")", n) },
	"values":    func(n int) string { return strings.Repeat("VALUES ((", n) + "1" + strings.Repeat("))", n) },
	"subvalues": func(n int) string { return "SELECT " + strings.Repeat("(VALUES (", n) + "1" + strings.Repeat("))", n) },
	"from": func(n int) string {
		return "SELECT * FROM " + strings.Repeat("(SELECT * FROM ", n) + "a" + strings.Repeat(") b", n)
	},
	"from table": func(n int) string { return "TABLE a" + strings.Repeat(" UNION TABLE a", n) },
	"lateral f": func(n int) string {
		return "SELECT " + strings.Repeat("(SELECT FROM f(", n) + "1" + strings.Repeat("))", n)
	},
	"array":  func(n int) string { return "SELECT ARRAY" + strings.Repeat("[", n) + "1" + strings.Repeat("]", n) },
	"arrays": func(n int) string { return "SELECT " + strings.Repeat("ARRAY[", n) + "1" + strings.Repeat("]", n) },
	"array sub": func(n int) string {
		return "SELECT " + strings.Repeat("ARRAY(SELECT ", n) + "1" + strings.Repeat(")", n)
	},
	"call": func(n int) string { return "SELECT " + strings.Repeat("f(", n) + "1" + strings.Repeat(")", n) },
	"filter": func(n int) string {
		return "SELECT " + strings.Repeat("f() FILTER (WHERE ", n) + "true" + strings.Repeat(")", n)
	},
	"over": func(n int) string {
		return "SELECT " + strings.Repeat("f() OVER (ORDER BY ", n) + "a" + strings.Repeat(")", n)
	},
	"order": func(n int) string {
		return "SELECT " + strings.Repeat("f(a ORDER BY ", n) + "a" + strings.Repeat(")", n)
	},
	"named":       func(n int) string { return "SELECT " + strings.Repeat("f(a=>", n) + "1" + strings.Repeat(")", n) },
	"row":         func(n int) string { return "SELECT " + strings.Repeat("ROW(", n) + "1" + strings.Repeat(")", n) },
	"union":       func(n int) string { return "SELECT 1, 1" + strings.Repeat(" UNION SELECT 1, 1", n) },
	"union right": func(n int) string { return "SELECT 1" + strings.Repeat(" UNION (SELECT 1", n) + strings.Repeat(")", n) },
	"not":         func(n int) string { return "SELECT " + strings.Repeat("NOT ", n) + "true" },
	"cast":        func(n int) string { return "SELECT 1" + strings.Repeat("::a", n) },
	"collate":     func(n int) string { return "SELECT a" + strings.Repeat(` COLLATE "C"`, n) },
	"subscript":   func(n int) string { return "SELECT " + strings.Repeat("a[", n) + "1" + strings.Repeat("]", n) },
	"indirection": func(n int) string { return "SELECT " + strings.Repeat("(", n) + "a" + strings.Repeat(").b", n) },
	"zone":        func(n int) string { return "SELECT a" + strings.Repeat(" AT TIME ZONE 'x'", n) },
	"is null":     func(n int) string { return "SELECT a" + strings.Repeat(" IS NULL", n) },
	"isnull":      func(n int) string { return "SELECT a" + strings.Repeat(" ISNULL", n) },
	"between":     func(n int) string { return "SELECT a" + strings.Repeat(" BETWEEN 1 AND 2 ISNULL", n) },
	"between not": func(n int) string { return "SELECT a" + strings.Repeat(" NOT BETWEEN 1 AND 2 ISNULL", n) },
	"symmetric":   func(n int) string { return "SELECT a" + strings.Repeat(" BETWEEN SYMMETRIC 1 AND 2 ISNULL", n) },
	"like": func(n int) string {
		return "SELECT " + strings.Repeat("(a LIKE b ESCAPE ", n) + "'x'" + strings.Repeat(")", n)
	},
	"join":    func(n int) string { return "SELECT FROM a" + strings.Repeat(" NATURAL JOIN b", n) },
	"join on": func(n int) string { return "SELECT FROM a" + strings.Repeat(" JOIN b ON c AND d", n) },
	"join in": func(n int) string {
		return "SELECT FROM " + strings.Repeat("(", n) + "a" + strings.Repeat(" CROSS JOIN b)", n)
	},
	"join right": func(n int) string {
		return "SELECT FROM " + strings.Repeat("a JOIN ", n) + "b" + strings.Repeat(" ON c AND d", n)
	},
	"cte": func(n int) string {
		return strings.Repeat("WITH a AS (", n) + "SELECT 1" + strings.Repeat(") SELECT 1", n)
	},
	"in":        func(n int) string { return "SELECT " + strings.Repeat("a IN (", n) + "1" + strings.Repeat(")", n) },
	"in select": func(n int) string { return "SELECT a" + strings.Repeat(" IN (SELECT a", n) + strings.Repeat(")", n) },
	"any": func(n int) string {
		return "SELECT " + strings.Repeat("a = ANY(ARRAY[", n) + "1" + strings.Repeat("])", n)
	},
	"exists": func(n int) string {
		return strings.Repeat("SELECT WHERE EXISTS(", n) + "SELECT" + strings.Repeat(")", n)
	},
	"limit": func(n int) string { return strings.Repeat("SELECT LIMIT (", n) + "SELECT" + strings.Repeat(")", n) },
	"xml": func(n int) string {
		return "SELECT " + strings.Repeat("xmlelement(name a, ", n) + "1" + strings.Repeat(")", n)
	},
	"xml forest": func(n int) string {
		return "SELECT " + strings.Repeat("xmlforest(", n) + "1" + strings.Repeat(" AS a)", n)
	},
	"json": func(n int) string {
		return "SELECT " + strings.Repeat("JSON_OBJECT('a': ", n) + "1" + strings.Repeat(")", n)
	},
	"json array": func(n int) string { return "SELECT " + strings.Repeat("JSON_ARRAY(", n) + "1" + strings.Repeat(")", n) },
	"json arrays": func(n int) string {
		return "SELECT " + strings.Repeat("JSON_ARRAY(SELECT ", n) + "1" + strings.Repeat(")", n)
	},
	"json agg": func(n int) string {
		return "SELECT " + strings.Repeat("JSON_OBJECTAGG(1:", n) + "1" + strings.Repeat(")", n)
	},
	"is json": func(n int) string { return "SELECT a" + strings.Repeat(" IS JSON", n) },
	"json value": func(n int) string {
		return "SELECT " + strings.Repeat("JSON_VALUE(", n) + "1" + strings.Repeat(",'a')", n)
	},
	"json default": func(n int) string {
		return "SELECT " + strings.Repeat("JSON_VALUE(a,'b' DEFAULT ", n) + "1" + strings.Repeat(" ON EMPTY)", n)
	},
	"grouping": func(n int) string {
		return "SELECT GROUP BY " + strings.Repeat("GROUPING SETS(", n) + "a" + strings.Repeat(")", n)
	},
	"update": func(n int) string {
		return "UPDATE a SET b = " + strings.Repeat("(1+", n) + "1" + strings.Repeat(")", n)
	},
	"ctes": func(n int) string {
		return "WITH a AS" + strings.Repeat("(WITH a AS", n) + "(TABLE b)" + strings.Repeat("TABLE b)", n) + "TABLE b"
	},
	"rule": func(n int) string {
		return strings.Repeat("CREATE RULE r AS ON INSERT TO a DO (", n) + "SELECT 1" + strings.Repeat(")", n)
	},
	"or and": func(n int) string { return "SELECT a" + strings.Repeat(" OR a AND b", n) },
	"or not": func(n int) string { return "SELECT a" + strings.Repeat(" OR NOT a", n) },
	"and":    func(n int) string { return "SELECT " + strings.Repeat("(a AND ", n) + "b" + strings.Repeat(")", n) },
	"comma":  func(n int) string { return "SELECT " + strings.Repeat("(1, ", n) + "1" + strings.Repeat(")", n) },
	"type":   func(n int) string { return "SELECT " + strings.Repeat("a(", n) + "1" + strings.Repeat(") 'x'", n) },
	"label": func(n int) string {
		return "SELECT " + strings.Repeat("1 case, ", n) + strings.Repeat("1 end, ", n) + "1"
	},
}

// deepest returns the largest text of a shape that inspect lets through, or one of 100,000 repetitions.
func deepest(cfg Config, shape func(int) string) string {
	lo, hi := 1, 100_000
	for lo < hi {
		mid := (lo + hi + 1) / 2
		if _, err := inspect(shape(mid), cfg, false); err == nil {
			lo = mid
		} else {
			hi = mid - 1
		}
	}
	return shape(lo)
}

const stackChild = "SQLPARSE_STACK_CHILD"

// TestDeepestFitsTheStack parses, for each shape, the deepest text that the default bounds let through, in a child
// process whose threads have only 512 kB of stack (macOS; glibc gives 8 MB).
func TestDeepestFitsTheStack(t *testing.T) {
	if depth := os.Getenv(stackChild); depth != "" {
		n, _ := strconv.Atoi(depth)
		c := New(Config{MaxDepth: n})
		for name, shape := range nested {
			sql := deepest(c.cfg, shape)
			os.Stdout.WriteString("shape " + name + " " + strconv.Itoa(len(sql)) + "\n")
			c.Parse(sql)
		}
		os.Stdout.WriteString("all parsed\n")
		return
	}
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("needs ulimit")
	}
	cmd := exec.Command("sh", "-c", `ulimit -S -s 512 && exec "$0" -test.run='^TestDeepestFitsTheStack$'`, os.Args[0])
	cmd.Env = append(os.Environ(), stackChild+"="+strconv.Itoa(defaultMaxDepth))
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "all parsed") {
		t.Fatalf("%v\n%.2000s", err, out)
	}
}
