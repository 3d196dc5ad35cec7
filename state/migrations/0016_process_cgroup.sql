-- The cgroup that a monitor was put into; '': none. What was counted there is of this process, whatever else the VM has left.
ALTER TABLE process ADD COLUMN cgroup TEXT NOT NULL DEFAULT '';
UPDATE process SET cgroup = (SELECT name FROM cgroup WHERE cgroup.vm = process.vm)
	WHERE (SELECT count(*) FROM cgroup WHERE cgroup.vm = process.vm) = 1;
