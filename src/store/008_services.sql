-- Every service that an incident was told to be in. An incident moves on to the service in which the
-- trouble begins and stays among those of the others: its services only grow, so that the newest
-- alert names them all.
CREATE TABLE incident_services (
    service  TEXT NOT NULL,
    incident TEXT NOT NULL,
    PRIMARY KEY (service, incident)
) STRICT, WITHOUT ROWID;
CREATE INDEX incident_services_by_incident ON incident_services (incident);

-- An alert that cannot be read names no service besides the one in its row. What a statement says
-- about conflicts holds for its triggers too, so that these look before they write.
CREATE TRIGGER incident_begins AFTER INSERT ON incidents BEGIN
    INSERT INTO incident_services
        SELECT DISTINCT of.service, new.id
        FROM (SELECT new.service AS service UNION
              SELECT value FROM json_each(iif(json_valid(new.alert), new.alert, '{}'), '$.services')
              WHERE type = 'text') of
        WHERE NOT EXISTS (SELECT 1 FROM incident_services known
                          WHERE known.service = of.service AND known.incident = new.id);
END;
CREATE TRIGGER incident_changes AFTER UPDATE OF service, alert ON incidents BEGIN
    INSERT INTO incident_services
        SELECT DISTINCT of.service, new.id
        FROM (SELECT new.service AS service UNION
              SELECT value FROM json_each(iif(json_valid(new.alert), new.alert, '{}'), '$.services')
              WHERE type = 'text') of
        WHERE NOT EXISTS (SELECT 1 FROM incident_services known
                          WHERE known.service = of.service AND known.incident = new.id);
END;
CREATE TRIGGER incident_goes AFTER DELETE ON incidents BEGIN
    DELETE FROM incident_services WHERE incident = old.id;
END;

INSERT OR IGNORE INTO incident_services SELECT service, id FROM incidents;
INSERT OR IGNORE INTO incident_services
    SELECT one.value, i.id
    FROM incidents i, json_each(iif(json_valid(i.alert), i.alert, '{}'), '$.services') one
    WHERE one.type = 'text';

-- Lists of one service take this way now.
DROP INDEX incidents_by_service;
