-- Where the listing under each parent stands, where a binding is read parent by parent (JSON, shaped by `reconcile`).
CREATE TABLE sync_parent (
  binding INTEGER NOT NULL,
  parent TEXT NOT NULL,
  state TEXT NOT NULL,
  PRIMARY KEY (binding, parent)
) STRICT, WITHOUT ROWID;
