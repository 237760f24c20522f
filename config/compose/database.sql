-- Run once, by Postgres' image, in the new database `shop`: what walrelay can't make for itself.
-- Schema, publication and slot come afterwards, from `walrelay sql --apply`.
create role walrelay login replication;
