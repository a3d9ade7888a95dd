-- +goose Up
-- The mirrored tables, their views, and what pghub must remember about the sync. Migrate has made the roles and both
-- schemas before; every migration runs as pghub_sync, which therefore owns what it makes.
SET ROLE pghub_sync;

CREATE TABLE github.account (
    id bigint NOT NULL,
    node_id text NOT NULL,
    login text NOT NULL,
    type text,
    name text,
    email text,
    notification_email text,
    company text,
    blog text,
    location text,
    bio text,
    description text,
    twitter_username text,
    hireable boolean,
    site_admin boolean,
    deleted boolean,
    is_verified boolean,
    user_view_type text,
    avatar_url text,
    gravatar_id text,
    url text,
    html_url text,
    followers_url text,
    following_url text,
    gists_url text,
    starred_url text,
    subscriptions_url text,
    organizations_url text,
    repos_url text,
    events_url text,
    received_events_url text,
    hooks_url text,
    issues_url text,
    members_url text,
    public_members_url text,
    public_repos bigint,
    public_gists bigint,
    private_gists bigint,
    total_private_repos bigint,
    owned_private_repos bigint,
    followers bigint,
    following bigint,
    disk_usage bigint,
    collaborators bigint,
    two_factor_authentication boolean,
    business_plus boolean,
    ldap_dn text,
    plan jsonb,
    has_organization_projects boolean,
    has_repository_projects boolean,
    created_at timestamptz,
    updated_at timestamptz,
    archived_at timestamptz,
    payload jsonb NOT NULL,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (id)
);

COMMENT ON TABLE github.account IS 'Users, bots and organisations that the mirrored objects name.';
COMMENT ON COLUMN github.account.id IS 'REST id of the account.';
COMMENT ON COLUMN github.account.node_id IS 'GraphQL id of the account.';
COMMENT ON COLUMN github.account.login IS 'Login name; changes when the account is renamed.';
COMMENT ON COLUMN github.account.type IS 'User, Bot, Organization or Mannequin.';
COMMENT ON COLUMN github.account.name IS 'Display name.';
COMMENT ON COLUMN github.account.email IS 'Public e-mail address.';
COMMENT ON COLUMN github.account.notification_email IS 'E-mail address for notifications.';
COMMENT ON COLUMN github.account.company IS 'Company as the account states it.';
COMMENT ON COLUMN github.account.blog IS 'Web site as the account states it.';
COMMENT ON COLUMN github.account.location IS 'Place as the account states it.';
COMMENT ON COLUMN github.account.bio IS 'Text about the user.';
COMMENT ON COLUMN github.account.description IS 'Text about the organisation.';
COMMENT ON COLUMN github.account.twitter_username IS 'Twitter/X user name.';
COMMENT ON COLUMN github.account.hireable IS 'Whether the user says to be available for hire.';
COMMENT ON COLUMN github.account.site_admin IS 'Whether the account belongs to GitHub''s (or the server''s) staff.';
COMMENT ON COLUMN github.account.deleted IS 'Whether GitHub says that the account is deleted.';
COMMENT ON COLUMN github.account.is_verified IS 'Whether the organisation''s domain is verified.';
COMMENT ON COLUMN github.account.user_view_type IS 'Which view of the account GitHub gave: public or private.';
COMMENT ON COLUMN github.account.avatar_url IS 'URL of the picture.';
COMMENT ON COLUMN github.account.gravatar_id IS 'Gravatar id; empty on GitHub.com.';
COMMENT ON COLUMN github.account.url IS 'API URL of the account.';
COMMENT ON COLUMN github.account.html_url IS 'Web page of the account.';
COMMENT ON COLUMN github.account.followers_url IS 'API URL of the followers.';
COMMENT ON COLUMN github.account.following_url IS 'API URL template of the accounts followed.';
COMMENT ON COLUMN github.account.gists_url IS 'API URL template of the gists.';
COMMENT ON COLUMN github.account.starred_url IS 'API URL template of the starred repositories.';
COMMENT ON COLUMN github.account.subscriptions_url IS 'API URL of the watched repositories.';
COMMENT ON COLUMN github.account.organizations_url IS 'API URL of the organisations of the user.';
COMMENT ON COLUMN github.account.repos_url IS 'API URL of the repositories.';
COMMENT ON COLUMN github.account.events_url IS 'API URL template of the events.';
COMMENT ON COLUMN github.account.received_events_url IS 'API URL of the events received.';
COMMENT ON COLUMN github.account.hooks_url IS 'API URL of the organisation''s webhooks.';
COMMENT ON COLUMN github.account.issues_url IS 'API URL of the organisation''s issues.';
COMMENT ON COLUMN github.account.members_url IS 'API URL template of the organisation''s members.';
COMMENT ON COLUMN github.account.public_members_url IS 'API URL template of the organisation''s public members.';
COMMENT ON COLUMN github.account.public_repos IS 'Number of public repositories.';
COMMENT ON COLUMN github.account.public_gists IS 'Number of public gists.';
COMMENT ON COLUMN github.account.private_gists IS 'Number of private gists; only for oneself.';
COMMENT ON COLUMN github.account.total_private_repos IS 'Number of private repositories; only for oneself.';
COMMENT ON COLUMN github.account.owned_private_repos IS 'Number of private repositories owned; only for oneself.';
COMMENT ON COLUMN github.account.followers IS 'Number of followers.';
COMMENT ON COLUMN github.account.following IS 'Number of accounts followed.';
COMMENT ON COLUMN github.account.disk_usage IS 'Disk use in kilobytes; only for oneself.';
COMMENT ON COLUMN github.account.collaborators IS 'Number of collaborators on private repositories; only for oneself.';
COMMENT ON COLUMN github.account.two_factor_authentication IS 'Whether two-factor authentication is on; only for oneself.';
COMMENT ON COLUMN github.account.business_plus IS 'Whether the account is on the Business Plus plan; only for oneself.';
COMMENT ON COLUMN github.account.ldap_dn IS 'LDAP distinguished name; Enterprise Server only.';
COMMENT ON COLUMN github.account.plan IS 'Plan of the account: name, space, private_repos, collaborators.';
COMMENT ON COLUMN github.account.has_organization_projects IS 'Whether the organisation may use organisation projects.';
COMMENT ON COLUMN github.account.has_repository_projects IS 'Whether the organisation''s repositories may use projects.';
COMMENT ON COLUMN github.account.created_at IS 'When the account was made.';
COMMENT ON COLUMN github.account.updated_at IS 'When the account''s profile last changed.';
COMMENT ON COLUMN github.account.archived_at IS 'When the organisation was archived.';
COMMENT ON COLUMN github.account.payload IS 'The whole object as GitHub sent it; fields of an earlier answer stay when a later, shorter one leaves them out.';
COMMENT ON COLUMN github.account.synced_at IS 'When this state of the row was stored in the mirror, by this server''s clock.';

CREATE TABLE github.repository (
    id bigint NOT NULL,
    node_id text NOT NULL,
    name text NOT NULL,
    full_name text NOT NULL,
    owner_id bigint REFERENCES github.account (id) DEFERRABLE INITIALLY DEFERRED,
    organization_id bigint REFERENCES github.account (id) DEFERRABLE INITIALLY DEFERRED,
    description text,
    homepage text,
    language text,
    topics text[],
    private boolean,
    visibility text,
    fork boolean,
    archived boolean,
    disabled boolean,
    is_template boolean,
    default_branch text,
    master_branch text,
    size bigint,
    forks_count bigint,
    stargazers_count bigint,
    watchers_count bigint,
    subscribers_count bigint,
    network_count bigint,
    open_issues_count bigint,
    forks bigint,
    open_issues bigint,
    watchers bigint,
    has_issues boolean,
    has_projects boolean,
    has_wiki boolean,
    has_pages boolean,
    has_downloads boolean,
    has_discussions boolean,
    has_pull_requests boolean,
    pull_request_creation_policy text,
    allow_rebase_merge boolean,
    allow_squash_merge boolean,
    allow_merge_commit boolean,
    allow_auto_merge boolean,
    allow_update_branch boolean,
    allow_forking boolean,
    delete_branch_on_merge boolean,
    use_squash_pr_title_as_default boolean,
    squash_merge_commit_title text,
    squash_merge_commit_message text,
    merge_commit_title text,
    merge_commit_message text,
    web_commit_signoff_required boolean,
    anonymous_access_enabled boolean,
    role_name text,
    permissions jsonb,
    license_key text,
    license jsonb,
    code_of_conduct jsonb,
    security_and_analysis jsonb,
    custom_properties jsonb,
    code_search_index_status jsonb,
    template_repository_id bigint,
    template_repository jsonb,
    parent_id bigint,
    parent jsonb,
    source_id bigint,
    source jsonb,
    created_at timestamptz,
    updated_at timestamptz,
    pushed_at timestamptz,
    url text,
    html_url text,
    clone_url text,
    git_url text,
    ssh_url text,
    svn_url text,
    mirror_url text,
    archive_url text,
    assignees_url text,
    blobs_url text,
    branches_url text,
    collaborators_url text,
    comments_url text,
    commits_url text,
    compare_url text,
    contents_url text,
    contributors_url text,
    deployments_url text,
    downloads_url text,
    events_url text,
    forks_url text,
    git_commits_url text,
    git_refs_url text,
    git_tags_url text,
    hooks_url text,
    issue_comment_url text,
    issue_events_url text,
    issues_url text,
    keys_url text,
    labels_url text,
    languages_url text,
    merges_url text,
    milestones_url text,
    notifications_url text,
    pulls_url text,
    releases_url text,
    stargazers_url text,
    statuses_url text,
    subscribers_url text,
    subscription_url text,
    tags_url text,
    teams_url text,
    trees_url text,
    payload jsonb NOT NULL,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (id)
);

COMMENT ON TABLE github.repository IS 'Repositories that are mirrored.';
COMMENT ON COLUMN github.repository.id IS 'REST id of the repository; stays when it is renamed or transferred.';
COMMENT ON COLUMN github.repository.node_id IS 'GraphQL id of the repository.';
COMMENT ON COLUMN github.repository.name IS 'Name without the owner.';
COMMENT ON COLUMN github.repository.full_name IS 'Owner and name: owner/name.';
COMMENT ON COLUMN github.repository.owner_id IS 'Account that owns the repository.';
COMMENT ON COLUMN github.repository.organization_id IS 'Organisation that owns the repository; null when a user owns it.';
COMMENT ON COLUMN github.repository.description IS 'Short description.';
COMMENT ON COLUMN github.repository.homepage IS 'Web site of the project.';
COMMENT ON COLUMN github.repository.language IS 'Main programming language, as GitHub found it.';
COMMENT ON COLUMN github.repository.topics IS 'Topics.';
COMMENT ON COLUMN github.repository.private IS 'Whether the repository is private.';
COMMENT ON COLUMN github.repository.visibility IS 'public, private or internal.';
COMMENT ON COLUMN github.repository.fork IS 'Whether the repository is a fork.';
COMMENT ON COLUMN github.repository.archived IS 'Whether the repository is archived, which makes it read-only.';
COMMENT ON COLUMN github.repository.disabled IS 'Whether GitHub disabled the repository.';
COMMENT ON COLUMN github.repository.is_template IS 'Whether the repository is a template for others.';
COMMENT ON COLUMN github.repository.default_branch IS 'Name of the default branch.';
COMMENT ON COLUMN github.repository.master_branch IS 'Name of the default branch under its old field name.';
COMMENT ON COLUMN github.repository.size IS 'Size in kilobytes, counted hourly.';
COMMENT ON COLUMN github.repository.forks_count IS 'Number of forks.';
COMMENT ON COLUMN github.repository.stargazers_count IS 'Number of stars.';
COMMENT ON COLUMN github.repository.watchers_count IS 'Number of stars under its old field name.';
COMMENT ON COLUMN github.repository.subscribers_count IS 'Number of watchers.';
COMMENT ON COLUMN github.repository.network_count IS 'Number of repositories in the fork network.';
COMMENT ON COLUMN github.repository.open_issues_count IS 'Number of open issues and pull requests, as GitHub counts.';
COMMENT ON COLUMN github.repository.forks IS 'Number of forks under its old field name.';
COMMENT ON COLUMN github.repository.open_issues IS 'Number of open issues and pull requests under its old field name.';
COMMENT ON COLUMN github.repository.watchers IS 'Number of stars under its old field name.';
COMMENT ON COLUMN github.repository.has_issues IS 'Whether issues are on.';
COMMENT ON COLUMN github.repository.has_projects IS 'Whether projects are on.';
COMMENT ON COLUMN github.repository.has_wiki IS 'Whether the wiki is on.';
COMMENT ON COLUMN github.repository.has_pages IS 'Whether GitHub Pages are on.';
COMMENT ON COLUMN github.repository.has_downloads IS 'Whether downloads are on.';
COMMENT ON COLUMN github.repository.has_discussions IS 'Whether discussions are on.';
COMMENT ON COLUMN github.repository.has_pull_requests IS 'Whether pull requests are on.';
COMMENT ON COLUMN github.repository.pull_request_creation_policy IS 'Who may create pull requests: all or collaborators_only.';
COMMENT ON COLUMN github.repository.allow_rebase_merge IS 'Whether pull requests may be merged by rebase.';
COMMENT ON COLUMN github.repository.allow_squash_merge IS 'Whether pull requests may be squashed.';
COMMENT ON COLUMN github.repository.allow_merge_commit IS 'Whether pull requests may be merged by a merge commit.';
COMMENT ON COLUMN github.repository.allow_auto_merge IS 'Whether pull requests may be set to merge by themselves.';
COMMENT ON COLUMN github.repository.allow_update_branch IS 'Whether a pull request''s branch that is behind may always be updated.';
COMMENT ON COLUMN github.repository.allow_forking IS 'Whether private forks are allowed.';
COMMENT ON COLUMN github.repository.delete_branch_on_merge IS 'Whether head branches are deleted after a merge.';
COMMENT ON COLUMN github.repository.use_squash_pr_title_as_default IS 'Whether the pull request''s title is the title of a squash commit; GitHub is closing this field down.';
COMMENT ON COLUMN github.repository.squash_merge_commit_title IS 'Title of a squash commit: PR_TITLE or COMMIT_OR_PR_TITLE.';
COMMENT ON COLUMN github.repository.squash_merge_commit_message IS 'Message of a squash commit: PR_BODY, COMMIT_MESSAGES or BLANK.';
COMMENT ON COLUMN github.repository.merge_commit_title IS 'Title of a merge commit: PR_TITLE or MERGE_MESSAGE.';
COMMENT ON COLUMN github.repository.merge_commit_message IS 'Message of a merge commit: PR_BODY, PR_TITLE or BLANK.';
COMMENT ON COLUMN github.repository.web_commit_signoff_required IS 'Whether commits made on the web must be signed off.';
COMMENT ON COLUMN github.repository.anonymous_access_enabled IS 'Whether anonymous Git access is on; Enterprise Server only.';
COMMENT ON COLUMN github.repository.role_name IS 'Role of the credential''s account in the repository.';
COMMENT ON COLUMN github.repository.permissions IS 'What the credential may do: admin, maintain, push, triage, pull.';
COMMENT ON COLUMN github.repository.license_key IS 'Key of the licence, mit for example.';
COMMENT ON COLUMN github.repository.license IS 'Licence that GitHub found.';
COMMENT ON COLUMN github.repository.code_of_conduct IS 'Code of conduct that GitHub found.';
COMMENT ON COLUMN github.repository.security_and_analysis IS 'State of the security features; for administrators only.';
COMMENT ON COLUMN github.repository.custom_properties IS 'Custom properties that the organisation defines.';
COMMENT ON COLUMN github.repository.code_search_index_status IS 'State of the code search index.';
COMMENT ON COLUMN github.repository.template_repository_id IS 'Id of the repository this one was made from; not necessarily mirrored.';
COMMENT ON COLUMN github.repository.template_repository IS 'Repository this one was made from.';
COMMENT ON COLUMN github.repository.parent_id IS 'Id of the repository this one was forked from; not necessarily mirrored.';
COMMENT ON COLUMN github.repository.parent IS 'Repository this one was forked from.';
COMMENT ON COLUMN github.repository.source_id IS 'Id of the repository at the root of the fork network; not necessarily mirrored.';
COMMENT ON COLUMN github.repository.source IS 'Repository at the root of the fork network.';
COMMENT ON COLUMN github.repository.created_at IS 'When the repository was made.';
COMMENT ON COLUMN github.repository.updated_at IS 'When the repository''s settings or description last changed.';
COMMENT ON COLUMN github.repository.pushed_at IS 'When somebody last pushed.';
COMMENT ON COLUMN github.repository.url IS 'API URL of the repository.';
COMMENT ON COLUMN github.repository.html_url IS 'Web page of the repository.';
COMMENT ON COLUMN github.repository.clone_url IS 'URL for git clone over HTTPS.';
COMMENT ON COLUMN github.repository.git_url IS 'URL for git clone over the git protocol.';
COMMENT ON COLUMN github.repository.ssh_url IS 'URL for git clone over SSH.';
COMMENT ON COLUMN github.repository.svn_url IS 'URL for Subversion clients.';
COMMENT ON COLUMN github.repository.mirror_url IS 'URL of the repository this one mirrors.';
COMMENT ON COLUMN github.repository.archive_url IS 'API URL template of archives of the source.';
COMMENT ON COLUMN github.repository.assignees_url IS 'API URL template of the possible assignees.';
COMMENT ON COLUMN github.repository.blobs_url IS 'API URL template of the blobs.';
COMMENT ON COLUMN github.repository.branches_url IS 'API URL template of the branches.';
COMMENT ON COLUMN github.repository.collaborators_url IS 'API URL template of the collaborators.';
COMMENT ON COLUMN github.repository.comments_url IS 'API URL template of the commit comments.';
COMMENT ON COLUMN github.repository.commits_url IS 'API URL template of the commits.';
COMMENT ON COLUMN github.repository.compare_url IS 'API URL template of comparisons.';
COMMENT ON COLUMN github.repository.contents_url IS 'API URL template of the contents.';
COMMENT ON COLUMN github.repository.contributors_url IS 'API URL of the contributors.';
COMMENT ON COLUMN github.repository.deployments_url IS 'API URL of the deployments.';
COMMENT ON COLUMN github.repository.downloads_url IS 'API URL of the downloads.';
COMMENT ON COLUMN github.repository.events_url IS 'API URL of the events.';
COMMENT ON COLUMN github.repository.forks_url IS 'API URL of the forks.';
COMMENT ON COLUMN github.repository.git_commits_url IS 'API URL template of the Git commits.';
COMMENT ON COLUMN github.repository.git_refs_url IS 'API URL template of the Git references.';
COMMENT ON COLUMN github.repository.git_tags_url IS 'API URL template of the Git tags.';
COMMENT ON COLUMN github.repository.hooks_url IS 'API URL of the webhooks.';
COMMENT ON COLUMN github.repository.issue_comment_url IS 'API URL template of the issue comments.';
COMMENT ON COLUMN github.repository.issue_events_url IS 'API URL template of the issue events.';
COMMENT ON COLUMN github.repository.issues_url IS 'API URL template of the issues.';
COMMENT ON COLUMN github.repository.keys_url IS 'API URL template of the deploy keys.';
COMMENT ON COLUMN github.repository.labels_url IS 'API URL template of the labels.';
COMMENT ON COLUMN github.repository.languages_url IS 'API URL of the languages.';
COMMENT ON COLUMN github.repository.merges_url IS 'API URL for merging branches.';
COMMENT ON COLUMN github.repository.milestones_url IS 'API URL template of the milestones.';
COMMENT ON COLUMN github.repository.notifications_url IS 'API URL template of the notifications.';
COMMENT ON COLUMN github.repository.pulls_url IS 'API URL template of the pull requests.';
COMMENT ON COLUMN github.repository.releases_url IS 'API URL template of the releases.';
COMMENT ON COLUMN github.repository.stargazers_url IS 'API URL of the accounts that starred the repository.';
COMMENT ON COLUMN github.repository.statuses_url IS 'API URL template of the commit statuses.';
COMMENT ON COLUMN github.repository.subscribers_url IS 'API URL of the watchers.';
COMMENT ON COLUMN github.repository.subscription_url IS 'API URL of one''s own subscription.';
COMMENT ON COLUMN github.repository.tags_url IS 'API URL of the tags.';
COMMENT ON COLUMN github.repository.teams_url IS 'API URL of the teams.';
COMMENT ON COLUMN github.repository.trees_url IS 'API URL template of the Git trees.';
COMMENT ON COLUMN github.repository.payload IS 'The whole object as GitHub sent it; fields of an earlier answer stay when a later, shorter one leaves them out.';
COMMENT ON COLUMN github.repository.synced_at IS 'When this state of the row was stored in the mirror, by this server''s clock.';

CREATE TABLE github.label (
    id bigint NOT NULL,
    node_id text NOT NULL,
    repository_id bigint NOT NULL REFERENCES github.repository (id) DEFERRABLE INITIALLY DEFERRED,
    name text NOT NULL,
    description text,
    color text,
    "default" boolean,
    url text,
    payload jsonb NOT NULL,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (id)
);

COMMENT ON TABLE github.label IS 'Labels of the repositories.';
COMMENT ON COLUMN github.label.id IS 'REST id of the label.';
COMMENT ON COLUMN github.label.node_id IS 'GraphQL id of the label.';
COMMENT ON COLUMN github.label.repository_id IS 'Repository that the row belongs to.';
COMMENT ON COLUMN github.label.name IS 'Name, unique within the repository without regard to case.';
COMMENT ON COLUMN github.label.description IS 'Short description.';
COMMENT ON COLUMN github.label.color IS 'Colour as six hexadecimal digits without #.';
COMMENT ON COLUMN github.label."default" IS 'Whether GitHub made the label when the repository was made.';
COMMENT ON COLUMN github.label.url IS 'API URL of the label; holds its name.';
COMMENT ON COLUMN github.label.payload IS 'The whole object as GitHub sent it; fields of an earlier answer stay when a later, shorter one leaves them out.';
COMMENT ON COLUMN github.label.synced_at IS 'When this state of the row was stored in the mirror, by this server''s clock.';

CREATE TABLE github.milestone (
    id bigint NOT NULL,
    node_id text NOT NULL,
    repository_id bigint NOT NULL REFERENCES github.repository (id) DEFERRABLE INITIALLY DEFERRED,
    number bigint NOT NULL,
    title text NOT NULL,
    description text,
    state text NOT NULL,
    creator_id bigint REFERENCES github.account (id) DEFERRABLE INITIALLY DEFERRED,
    open_issues bigint,
    closed_issues bigint,
    due_on timestamptz,
    created_at timestamptz,
    updated_at timestamptz,
    closed_at timestamptz,
    url text,
    html_url text,
    labels_url text,
    payload jsonb NOT NULL,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (id)
);

COMMENT ON TABLE github.milestone IS 'Milestones of the repositories.';
COMMENT ON COLUMN github.milestone.id IS 'REST id of the milestone.';
COMMENT ON COLUMN github.milestone.node_id IS 'GraphQL id of the milestone.';
COMMENT ON COLUMN github.milestone.repository_id IS 'Repository that the row belongs to.';
COMMENT ON COLUMN github.milestone.number IS 'Number of the milestone within its repository.';
COMMENT ON COLUMN github.milestone.title IS 'Title.';
COMMENT ON COLUMN github.milestone.description IS 'Description.';
COMMENT ON COLUMN github.milestone.state IS 'open or closed.';
COMMENT ON COLUMN github.milestone.creator_id IS 'Account that made the milestone.';
COMMENT ON COLUMN github.milestone.open_issues IS 'Number of open issues and pull requests in the milestone, as GitHub counts.';
COMMENT ON COLUMN github.milestone.closed_issues IS 'Number of closed issues and pull requests in the milestone, as GitHub counts.';
COMMENT ON COLUMN github.milestone.due_on IS 'When the milestone is due.';
COMMENT ON COLUMN github.milestone.created_at IS 'When the milestone was made.';
COMMENT ON COLUMN github.milestone.updated_at IS 'When the milestone last changed.';
COMMENT ON COLUMN github.milestone.closed_at IS 'When the milestone was closed; null while it is open.';
COMMENT ON COLUMN github.milestone.url IS 'API URL of the milestone.';
COMMENT ON COLUMN github.milestone.html_url IS 'Web page of the milestone.';
COMMENT ON COLUMN github.milestone.labels_url IS 'API URL of the labels of the milestone''s issues.';
COMMENT ON COLUMN github.milestone.payload IS 'The whole object as GitHub sent it; fields of an earlier answer stay when a later, shorter one leaves them out.';
COMMENT ON COLUMN github.milestone.synced_at IS 'When this state of the row was stored in the mirror, by this server''s clock.';

CREATE TABLE github.issue (
    id bigint NOT NULL,
    node_id text NOT NULL,
    repository_id bigint NOT NULL REFERENCES github.repository (id) DEFERRABLE INITIALLY DEFERRED,
    number bigint NOT NULL,
    title text NOT NULL,
    body text,
    body_text text,
    body_html text,
    state text NOT NULL DEFAULT 'open',
    state_reason text,
    user_id bigint REFERENCES github.account (id) DEFERRABLE INITIALLY DEFERRED,
    labels text[] NOT NULL DEFAULT '{}',
    assignees text[] NOT NULL DEFAULT '{}',
    assignee_id bigint REFERENCES github.account (id) DEFERRABLE INITIALLY DEFERRED,
    milestone_id bigint REFERENCES github.milestone (id) DEFERRABLE INITIALLY DEFERRED,
    locked boolean NOT NULL DEFAULT false,
    active_lock_reason text,
    comments bigint,
    type text,
    type_id bigint,
    draft boolean,
    closed_by_id bigint REFERENCES github.account (id) DEFERRABLE INITIALLY DEFERRED,
    author_association text,
    reactions jsonb,
    sub_issues_summary jsonb,
    issue_dependencies_summary jsonb,
    issue_field_values jsonb,
    pinned_comment_id bigint,
    pinned_comment jsonb,
    performed_via_github_app_id bigint,
    performed_via_github_app jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    closed_at timestamptz,
    url text,
    html_url text,
    repository_url text,
    labels_url text,
    comments_url text,
    events_url text,
    timeline_url text,
    parent_issue_url text,
    payload jsonb NOT NULL,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (id),
    UNIQUE (repository_id, number)
);

COMMENT ON TABLE github.issue IS 'Issues of the repositories, without pull requests. Written through the proxy only; every write goes to GitHub first.';
COMMENT ON COLUMN github.issue.id IS 'REST id of the issue.';
COMMENT ON COLUMN github.issue.node_id IS 'GraphQL id of the issue.';
COMMENT ON COLUMN github.issue.repository_id IS 'Repository that the row belongs to.';
COMMENT ON COLUMN github.issue.number IS 'Number of the issue within its repository, shared with pull requests.';
COMMENT ON COLUMN github.issue.title IS 'Title.';
COMMENT ON COLUMN github.issue.body IS 'Text in Markdown, at most 65,536 characters.';
COMMENT ON COLUMN github.issue.body_text IS 'Text without markup; only where it was asked for.';
COMMENT ON COLUMN github.issue.body_html IS 'Text as HTML; only where it was asked for.';
COMMENT ON COLUMN github.issue.state IS 'open or closed.';
COMMENT ON COLUMN github.issue.state_reason IS 'Why the issue has its state: completed, not_planned, duplicate, reopened; GitHub takes it only together with a change of state.';
COMMENT ON COLUMN github.issue.user_id IS 'Author; null when the account is gone.';
COMMENT ON COLUMN github.issue.labels IS 'Names of the labels, as GitHub orders them; writing the array replaces the whole set.';
COMMENT ON COLUMN github.issue.assignees IS 'Logins of the assignees; writing the array replaces the whole set.';
COMMENT ON COLUMN github.issue.assignee_id IS 'First of the assignees.';
COMMENT ON COLUMN github.issue.milestone_id IS 'Milestone.';
COMMENT ON COLUMN github.issue.locked IS 'Whether the conversation is locked.';
COMMENT ON COLUMN github.issue.active_lock_reason IS 'Why the conversation is locked: off-topic, too heated, resolved, spam.';
COMMENT ON COLUMN github.issue.comments IS 'Number of comments, as GitHub counts.';
COMMENT ON COLUMN github.issue.type IS 'Name of the issue type.';
COMMENT ON COLUMN github.issue.type_id IS 'Id of the issue type.';
COMMENT ON COLUMN github.issue.draft IS 'Whether it is a draft; GitHub documents the field for issues but sets it for pull requests only.';
COMMENT ON COLUMN github.issue.closed_by_id IS 'Account that closed the issue; only some of GitHub''s answers say so.';
COMMENT ON COLUMN github.issue.author_association IS 'What the author is to the repository: OWNER, MEMBER, COLLABORATOR, CONTRIBUTOR, NONE, ...';
COMMENT ON COLUMN github.issue.reactions IS 'Counts of the reactions.';
COMMENT ON COLUMN github.issue.sub_issues_summary IS 'Counts of sub-issues: total, completed, percent_completed.';
COMMENT ON COLUMN github.issue.issue_dependencies_summary IS 'Counts of dependencies: blocked_by, blocking, total_blocked_by, total_blocking.';
COMMENT ON COLUMN github.issue.issue_field_values IS 'Values of the organisation''s issue fields.';
COMMENT ON COLUMN github.issue.pinned_comment_id IS 'Id of the pinned comment.';
COMMENT ON COLUMN github.issue.pinned_comment IS 'Pinned comment.';
COMMENT ON COLUMN github.issue.performed_via_github_app_id IS 'Id of the GitHub App that made the issue.';
COMMENT ON COLUMN github.issue.performed_via_github_app IS 'GitHub App that made the issue.';
COMMENT ON COLUMN github.issue.created_at IS 'When the issue was opened.';
COMMENT ON COLUMN github.issue.updated_at IS 'When the issue last changed.';
COMMENT ON COLUMN github.issue.closed_at IS 'When the issue was closed; null while it is open.';
COMMENT ON COLUMN github.issue.url IS 'API URL of the issue.';
COMMENT ON COLUMN github.issue.html_url IS 'Web page of the issue.';
COMMENT ON COLUMN github.issue.repository_url IS 'API URL of the repository.';
COMMENT ON COLUMN github.issue.labels_url IS 'API URL template of the labels.';
COMMENT ON COLUMN github.issue.comments_url IS 'API URL of the comments.';
COMMENT ON COLUMN github.issue.events_url IS 'API URL of the events.';
COMMENT ON COLUMN github.issue.timeline_url IS 'API URL of the timeline.';
COMMENT ON COLUMN github.issue.parent_issue_url IS 'API URL of the parent when this is a sub-issue.';
COMMENT ON COLUMN github.issue.payload IS 'The whole object as GitHub sent it; fields of an earlier answer stay when a later, shorter one leaves them out.';
COMMENT ON COLUMN github.issue.synced_at IS 'When this state of the row was stored in the mirror, by this server''s clock.';

CREATE TABLE github.issue_comment (
    id bigint NOT NULL,
    node_id text NOT NULL,
    repository_id bigint NOT NULL REFERENCES github.repository (id) DEFERRABLE INITIALLY DEFERRED,
    issue_id bigint REFERENCES github.issue (id) DEFERRABLE INITIALLY DEFERRED,
    issue_number bigint NOT NULL,
    user_id bigint REFERENCES github.account (id) DEFERRABLE INITIALLY DEFERRED,
    body text,
    body_text text,
    body_html text,
    author_association text,
    reactions jsonb,
    performed_via_github_app_id bigint,
    performed_via_github_app jsonb,
    pin jsonb,
    minimized jsonb,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    url text,
    html_url text,
    issue_url text,
    payload jsonb NOT NULL,
    synced_at timestamptz NOT NULL,
    PRIMARY KEY (id)
);

COMMENT ON TABLE github.issue_comment IS 'Comments of issues, and conversation comments of pull requests (their issue_id is null).';
COMMENT ON COLUMN github.issue_comment.id IS 'REST id of the comment.';
COMMENT ON COLUMN github.issue_comment.node_id IS 'GraphQL id of the comment.';
COMMENT ON COLUMN github.issue_comment.repository_id IS 'Repository that the row belongs to.';
COMMENT ON COLUMN github.issue_comment.issue_id IS 'Issue that the comment belongs to; null for a comment of a pull request, and until the issue itself is mirrored.';
COMMENT ON COLUMN github.issue_comment.issue_number IS 'Number of the issue or pull request within the repository.';
COMMENT ON COLUMN github.issue_comment.user_id IS 'Author; null when the account is gone.';
COMMENT ON COLUMN github.issue_comment.body IS 'Text in Markdown.';
COMMENT ON COLUMN github.issue_comment.body_text IS 'Text without markup; only where it was asked for.';
COMMENT ON COLUMN github.issue_comment.body_html IS 'Text as HTML; only where it was asked for.';
COMMENT ON COLUMN github.issue_comment.author_association IS 'What the author is to the repository: OWNER, MEMBER, COLLABORATOR, CONTRIBUTOR, NONE, ...';
COMMENT ON COLUMN github.issue_comment.reactions IS 'Counts of the reactions.';
COMMENT ON COLUMN github.issue_comment.performed_via_github_app_id IS 'Id of the GitHub App that wrote the comment.';
COMMENT ON COLUMN github.issue_comment.performed_via_github_app IS 'GitHub App that wrote the comment.';
COMMENT ON COLUMN github.issue_comment.pin IS 'Who pinned the comment and when (pinned_at, pinned_by); null when it is not pinned.';
COMMENT ON COLUMN github.issue_comment.minimized IS 'Why the comment is hidden (reason); null when it is not hidden.';
COMMENT ON COLUMN github.issue_comment.created_at IS 'When the comment was written.';
COMMENT ON COLUMN github.issue_comment.updated_at IS 'When the comment last changed.';
COMMENT ON COLUMN github.issue_comment.url IS 'API URL of the comment.';
COMMENT ON COLUMN github.issue_comment.html_url IS 'Web page of the comment.';
COMMENT ON COLUMN github.issue_comment.issue_url IS 'API URL of the issue or pull request that the comment belongs to.';
COMMENT ON COLUMN github.issue_comment.payload IS 'The whole object as GitHub sent it; fields of an earlier answer stay when a later, shorter one leaves them out.';
COMMENT ON COLUMN github.issue_comment.synced_at IS 'When this state of the row was stored in the mirror, by this server''s clock.';

-- What issue queries look for. The unique constraint on (repository_id, number) serves look-ups by number.
CREATE INDEX issue_state ON github.issue (repository_id, state);
CREATE INDEX issue_created_at ON github.issue (repository_id, created_at);
CREATE INDEX issue_updated_at ON github.issue (repository_id, updated_at);
CREATE INDEX issue_user_id ON github.issue (user_id);
CREATE INDEX issue_closed_by_id ON github.issue (closed_by_id);
CREATE INDEX issue_assignee_id ON github.issue (assignee_id);
CREATE INDEX issue_milestone_id ON github.issue (milestone_id);
CREATE INDEX issue_labels ON github.issue USING gin (labels);
CREATE INDEX issue_assignees ON github.issue USING gin (assignees);
CREATE INDEX issue_comment_issue_id ON github.issue_comment (issue_id, created_at);
CREATE INDEX issue_comment_number ON github.issue_comment (repository_id, issue_number);
CREATE INDEX issue_comment_updated_at ON github.issue_comment (repository_id, updated_at);
CREATE INDEX issue_comment_user_id ON github.issue_comment (user_id);
-- Names are not unique here: two that were swapped on GitHub arrive one after the other.
CREATE INDEX account_login ON github.account (login);
CREATE INDEX account_login_lower ON github.account (lower(login));
CREATE INDEX repository_full_name ON github.repository (lower(full_name));
CREATE INDEX repository_owner_id ON github.repository (owner_id);
CREATE INDEX repository_organization_id ON github.repository (organization_id);
CREATE INDEX label_name ON github.label (repository_id, name);
CREATE INDEX label_name_lower ON github.label (repository_id, lower(name));
CREATE INDEX milestone_number ON github.milestone (repository_id, number);
CREATE INDEX milestone_creator_id ON github.milestone (creator_id);

-- Both join conditions say the same; the first lets the planner go from an issue to its labels by the index on names,
-- the second from a label to its issues by the GIN index.
CREATE VIEW github.issue_label WITH (security_invoker = true) AS
    SELECT i.id AS issue_id, l.id AS label_id, i.repository_id, l.name
    FROM github.issue i
    JOIN github.label l ON l.repository_id = i.repository_id AND l.name = ANY (i.labels) AND i.labels @> ARRAY[l.name];
COMMENT ON VIEW github.issue_label IS 'Labels of the issues, one row for each; inserting and deleting rows changes issue.labels.';
COMMENT ON COLUMN github.issue_label.issue_id IS 'Issue.';
COMMENT ON COLUMN github.issue_label.label_id IS 'Label.';
COMMENT ON COLUMN github.issue_label.repository_id IS 'Repository of both.';
COMMENT ON COLUMN github.issue_label.name IS 'Name of the label.';

CREATE VIEW github.issue_assignee WITH (security_invoker = true) AS
    SELECT i.id AS issue_id, a.id AS account_id, a.login
    FROM github.issue i
    JOIN github.account a ON a.login = ANY (i.assignees) AND i.assignees @> ARRAY[a.login];
COMMENT ON VIEW github.issue_assignee IS 'Assignees of the issues, one row for each; inserting and deleting rows changes issue.assignees.';
COMMENT ON COLUMN github.issue_assignee.issue_id IS 'Issue.';
COMMENT ON COLUMN github.issue_assignee.account_id IS 'Assigned account.';
COMMENT ON COLUMN github.issue_assignee.login IS 'Its login.';

-- The views' triggers run with the rights of whoever writes, so that issue's own trigger sees that role and sends the
-- change to GitHub.
-- +goose StatementBegin
CREATE FUNCTION pghub.write_issue_label() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    issue record;
    label record;
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE github.issue SET labels = array_remove(labels, OLD.name) WHERE id = OLD.issue_id;
        RETURN OLD;
    END IF;
    SELECT i.id, i.repository_id INTO issue FROM github.issue i WHERE i.id = NEW.issue_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = format('there is no issue with id %s', coalesce(NEW.issue_id::text, 'NULL')),
            HINT = 'Give issue_id, and name or label_id.';
    END IF;
    IF NEW.label_id IS NULL AND NEW.name IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '23502', MESSAGE = 'a row of "issue_label" needs name or label_id';
    END IF;
    SELECT l.id, l.name INTO label FROM github.label l
    WHERE l.repository_id = issue.repository_id
      AND (NEW.label_id IS NULL OR l.id = NEW.label_id)
      AND (NEW.name IS NULL OR lower(l.name) = lower(NEW.name))
    ORDER BY l.id LIMIT 1;
    IF FOUND THEN
        NEW.label_id := label.id;
        NEW.name := label.name;
    ELSIF NEW.label_id IS NOT NULL THEN
        RAISE EXCEPTION USING ERRCODE = '23503',
            MESSAGE = format('the repository of issue %s has no such label: %s', NEW.issue_id, coalesce(NEW.name, NEW.label_id::text));
    END IF;
    NEW.repository_id := issue.repository_id;
    UPDATE github.issue SET labels = array_append(labels, NEW.name)
    WHERE id = NEW.issue_id AND NOT lower(NEW.name) = ANY (lower(labels::text)::text[]);
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.write_issue_label IS 'Turns writes to github.issue_label into changes of github.issue.labels. A name that is no label yet is passed on: GitHub makes such labels.';
CREATE TRIGGER pghub_write INSTEAD OF INSERT OR DELETE ON github.issue_label
    FOR EACH ROW EXECUTE FUNCTION pghub.write_issue_label();

-- +goose StatementBegin
CREATE FUNCTION pghub.write_issue_assignee() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    known text;
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE github.issue SET assignees = array_remove(assignees, OLD.login) WHERE id = OLD.issue_id;
        RETURN OLD;
    END IF;
    IF NOT EXISTS (SELECT FROM github.issue i WHERE i.id = NEW.issue_id) THEN
        RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = format('there is no issue with id %s', coalesce(NEW.issue_id::text, 'NULL')),
            HINT = 'Give issue_id, and login or account_id.';
    END IF;
    IF NEW.account_id IS NULL AND NEW.login IS NULL THEN
        RAISE EXCEPTION USING ERRCODE = '23502', MESSAGE = 'a row of "issue_assignee" needs login or account_id';
    END IF;
    IF NEW.account_id IS NOT NULL THEN
        SELECT a.login INTO known FROM github.account a WHERE a.id = NEW.account_id;
        IF known IS NULL OR lower(known) <> lower(coalesce(NEW.login, known)) THEN
            RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = format('there is no such account: %s', coalesce(NEW.login, NEW.account_id::text));
        END IF;
        NEW.login := known;
    ELSE
        SELECT a.id, a.login INTO NEW.account_id, known FROM github.account a WHERE lower(a.login) = lower(NEW.login) ORDER BY a.id DESC LIMIT 1;
        NEW.login := coalesce(known, NEW.login);
    END IF;
    UPDATE github.issue SET assignees = array_append(assignees, NEW.login)
    WHERE id = NEW.issue_id AND NOT lower(NEW.login) = ANY (lower(assignees::text)::text[]);
    RETURN NEW;
END $$;
-- +goose StatementEnd
COMMENT ON FUNCTION pghub.write_issue_assignee IS 'Turns writes to github.issue_assignee into changes of github.issue.assignees.';
CREATE TRIGGER pghub_write INSTEAD OF INSERT OR DELETE ON github.issue_assignee
    FOR EACH ROW EXECUTE FUNCTION pghub.write_issue_assignee();

CREATE TABLE pghub.tombstone (
    table_name text NOT NULL,
    id         bigint NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (table_name, id)
);
COMMENT ON TABLE pghub.tombstone IS 'Rows that GitHub no longer has: a late answer or event must not revive them. GitHub never uses an id twice.';
COMMENT ON COLUMN pghub.tombstone.table_name IS 'Table in schema github.';
COMMENT ON COLUMN pghub.tombstone.id IS 'REST id of the row.';
COMMENT ON COLUMN pghub.tombstone.deleted_at IS 'When the row was removed from the mirror.';

CREATE TABLE pghub.sync_state (
    repository_id bigint NOT NULL,
    collection    text NOT NULL,
    state         text NOT NULL DEFAULT 'backfilling',
    cursor        jsonb,
    next_url      text,
    rows_done     bigint NOT NULL DEFAULT 0,
    rows_expected bigint,
    last_sync_at  timestamptz,
    last_error    text,
    last_error_at timestamptz,
    PRIMARY KEY (repository_id, collection)
);
COMMENT ON TABLE pghub.sync_state IS 'How far each collection of each repository is.';
COMMENT ON COLUMN pghub.sync_state.repository_id IS 'Repository; 0 for what belongs to none. No foreign key: a collection may be known before its repository is stored.';
COMMENT ON COLUMN pghub.sync_state.collection IS 'Table in schema github that the collection fills.';
COMMENT ON COLUMN pghub.sync_state.state IS 'What is going on: backfilling, live, error, ...';
COMMENT ON COLUMN pghub.sync_state.cursor IS 'Up to where the collection is known to be current.';
COMMENT ON COLUMN pghub.sync_state.next_url IS 'The page to fetch next, as GitHub linked it; null when there is none.';
COMMENT ON COLUMN pghub.sync_state.rows_done IS 'Rows stored by the first backfill so far.';
COMMENT ON COLUMN pghub.sync_state.rows_expected IS 'Rows that the first backfill will bring, as far as known.';
COMMENT ON COLUMN pghub.sync_state.last_sync_at IS 'When the collection was last brought up to date.';
COMMENT ON COLUMN pghub.sync_state.last_error IS 'What went wrong last; null since it went well again.';
COMMENT ON COLUMN pghub.sync_state.last_error_at IS 'When it went wrong.';

GRANT USAGE ON SCHEMA github TO pghub_reader, pghub_writer;
GRANT SELECT ON ALL TABLES IN SCHEMA github TO pghub_reader, pghub_writer;
GRANT INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA github TO pghub_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA github GRANT SELECT ON TABLES TO pghub_reader, pghub_writer;
ALTER DEFAULT PRIVILEGES IN SCHEMA github GRANT INSERT, UPDATE, DELETE ON TABLES TO pghub_writer;

-- +goose Down
SELECT 'migrations go forward only';
