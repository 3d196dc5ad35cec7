-- cgroups that vmd has made or is about to make: a path, or the name of a systemd scope. The VM may be gone.

CREATE TABLE cgroup (
	name TEXT PRIMARY KEY,
	vm   TEXT NOT NULL
) STRICT, WITHOUT ROWID;
