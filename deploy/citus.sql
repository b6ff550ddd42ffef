-- Pictures over several machines, with Citus. Everything else stays on the coordinator.
-- docs/scaling.md, "Citus", says why it is the pictures alone, and what each statement touches.
--
-- Once, as the tables' owner, in the coordinator's database: after a server has made the tables,
-- while none runs. Before: create extension citus on all nodes, citus_add_node for each worker.

begin;

-- Citus has no foreign keys between tables here and tables there. What they did:
alter table picture drop constraint picture_account_id_fkey;
alter table gallery drop constraint gallery_picture_id_fkey;
alter table account drop constraint account_picture_id_fkey;

-- ... a deleted account takes its own picture along. Only who shows one can have one.
create or replace function delete_pictures_of_account() returns trigger language plpgsql as $$
begin
    delete from picture where account_id = old.id;
    return null;
end $$;

drop trigger if exists delete_pictures on account;
create trigger delete_pictures after delete on account
    for each row when (old.picture_id is not null)
    execute function delete_pictures_of_account();

-- ... what leaves the gallery leaves the accounts. Here it is deleted from `gallery`, by hand
-- (`server.py gallery remove` deletes from `picture`, which has no trigger):
--     delete from gallery where id = 11;
create or replace function delete_picture_of_gallery() returns trigger language plpgsql as $$
begin
    update account set picture_id = null where picture_id = old.picture_id;
    delete from picture where id = old.picture_id;
    return null;
end $$;

drop trigger if exists delete_picture on gallery;
create trigger delete_picture after delete on gallery
    for each row execute function delete_picture_of_gallery();

-- By its own id, which is what /pictures/<id> asks for, and what is unique.
select create_distributed_table('picture', 'id');

commit;
