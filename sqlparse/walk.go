package sqlparse

import (
	"slices"
	"strings"

	pg_query "github.com/pganalyze/pg_query_go/v6"
)

// describe fills in what the parse tree says about one statement.
func describe(st *Statement, node *pg_query.Node) {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_InsertStmt:
		st.Kind = Insert
	case *pg_query.Node_UpdateStmt:
		st.Kind = Update
	case *pg_query.Node_DeleteStmt:
		st.Kind = Delete
	case *pg_query.Node_MergeStmt:
		st.Kind = Merge
	case *pg_query.Node_SelectStmt:
		st.Kind = Select
	case *pg_query.Node_CopyStmt:
		st.Kind = Copy
	case *pg_query.Node_TransactionStmt:
		transaction(st, n.TransactionStmt)
		return
	case *pg_query.Node_PrepareStmt:
		st.Kind, st.PreparedName = Prepare, n.PrepareStmt.GetName()
	case *pg_query.Node_ExecuteStmt:
		st.Kind = Execute
	case *pg_query.Node_DeallocateStmt:
		st.Kind, st.PreparedName = Deallocate, n.DeallocateStmt.GetName()
	case *pg_query.Node_DiscardStmt:
		st.Kind = Discard
	case *pg_query.Node_ExplainStmt:
		st.Kind = Explain
	case *pg_query.Node_VariableSetStmt:
		st.Kind = Set
	}
	st.targets(node)
}

func transaction(st *Statement, t *pg_query.TransactionStmt) {
	st.Chain = t.GetChain()
	st.SavepointName = t.GetSavepointName()
	switch t.GetKind() {
	case pg_query.TransactionStmtKind_TRANS_STMT_BEGIN, pg_query.TransactionStmtKind_TRANS_STMT_START:
		st.Kind = Begin
	case pg_query.TransactionStmtKind_TRANS_STMT_COMMIT:
		st.Kind = Commit
	case pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK:
		st.Kind = Rollback
	case pg_query.TransactionStmtKind_TRANS_STMT_SAVEPOINT:
		st.Kind = Savepoint
	case pg_query.TransactionStmtKind_TRANS_STMT_RELEASE:
		st.Kind = Release
	case pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK_TO:
		st.Kind = RollbackTo
	case pg_query.TransactionStmtKind_TRANS_STMT_PREPARE:
		st.Kind = PrepareTx
	case pg_query.TransactionStmtKind_TRANS_STMT_COMMIT_PREPARED:
		st.Kind = CommitPrepared
	case pg_query.TransactionStmtKind_TRANS_STMT_ROLLBACK_PREPARED:
		st.Kind = RollbackPrepared
	}
}

// targets collects the relations that running node writes. Data-modifying WITH queries are legal only at the top of
// a statement, which is why expressions and sub-selects are not searched: the server refuses them there. Definitions
// (views, rules, functions) write nothing when they are made.
func (st *Statement) targets(node *pg_query.Node) {
	switch n := node.GetNode().(type) {
	case *pg_query.Node_InsertStmt:
		s := n.InsertStmt
		st.with(s.GetWithClause())
		st.write(s.GetRelation(), s.GetReturningList())
		st.targets(s.GetSelectStmt())
	case *pg_query.Node_UpdateStmt:
		s := n.UpdateStmt
		st.with(s.GetWithClause())
		st.write(s.GetRelation(), s.GetReturningList())
	case *pg_query.Node_DeleteStmt:
		s := n.DeleteStmt
		st.with(s.GetWithClause())
		st.write(s.GetRelation(), s.GetReturningList())
	case *pg_query.Node_MergeStmt:
		s := n.MergeStmt
		st.with(s.GetWithClause())
		st.write(s.GetRelation(), s.GetReturningList())
	case *pg_query.Node_SelectStmt:
		st.selects(n.SelectStmt)
	case *pg_query.Node_CopyStmt:
		if n.CopyStmt.GetIsFrom() {
			st.write(n.CopyStmt.GetRelation(), nil)
		}
		st.targets(n.CopyStmt.GetQuery()) // COPY (DELETE ... RETURNING ...) TO
	case *pg_query.Node_CreateTableAsStmt:
		st.targets(n.CreateTableAsStmt.GetQuery())
	case *pg_query.Node_DeclareCursorStmt:
		st.targets(n.DeclareCursorStmt.GetQuery())
	case *pg_query.Node_PrepareStmt:
		st.targets(n.PrepareStmt.GetQuery())
	case *pg_query.Node_ExecuteStmt:
		st.PreparedName = n.ExecuteStmt.GetName()
	case *pg_query.Node_ExplainStmt:
		st.Analyze = analyzes(n.ExplainStmt.GetOptions())
		inner := *st
		inner.targets(n.ExplainStmt.GetQuery())
		if !st.Analyze {
			inner.Targets = nil
		}
		*st = inner
	}
}

// selects follows set operations on the spine, which may be thousands of levels long on the left.
func (st *Statement) selects(s *pg_query.SelectStmt) {
	for s != nil {
		st.with(s.GetWithClause())
		st.selects(s.GetRarg())
		s = s.GetLarg()
	}
}

func (st *Statement) with(w *pg_query.WithClause) {
	returning := st.HasReturning
	for _, node := range w.GetCtes() {
		st.targets(node.GetCommonTableExpr().GetCtequery())
	}
	st.HasReturning = returning // that of a CTE is not the statement's
}

func (st *Statement) write(r *pg_query.RangeVar, returning []*pg_query.Node) {
	if r == nil {
		return
	}
	st.HasReturning = len(returning) > 0
	name := Name{Schema: r.GetSchemaname(), Name: r.GetRelname()}
	if !slices.Contains(st.Targets, name) {
		st.Targets = append(st.Targets, name)
	}
}

// analyzes reads EXPLAIN's options: the last ANALYZE wins, and one that is not plainly off counts as on.
func analyzes(options []*pg_query.Node) bool {
	on := false
	for _, o := range options {
		if d := o.GetDefElem(); d.GetDefname() == "analyze" {
			on = !off(d.GetArg())
		}
	}
	return on
}

func off(arg *pg_query.Node) bool {
	switch a := arg.GetNode().(type) {
	case *pg_query.Node_Integer:
		return a.Integer.GetIval() == 0
	case *pg_query.Node_Boolean:
		return !a.Boolean.GetBoolval()
	case *pg_query.Node_String_:
		v := a.String_.GetSval()
		return strings.EqualFold(v, "off") || strings.EqualFold(v, "false")
	}
	return false
}
